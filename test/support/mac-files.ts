import { lstatSync, readlinkSync } from "node:fs";
import { join, posix } from "node:path";
import { realFiles } from "../../src/world/files.ts";
import {
  type FileAccess,
  type FileStat,
  type Files,
  type Folder,
  type OpenFile,
  SystemError,
} from "../../src/world/world.ts";

/** Who looks at a Mac's disk, and what the disk is. */
export interface MacView {
  /** Where the disk really is. */
  readonly disk: string;
  readonly uid: number;
  readonly users: readonly { readonly uid: number; readonly gid: number; readonly home: string }[];
  /** Owners that were set here, by device and inode: a test need not be root. */
  readonly owners: Map<string, { readonly uid: number; readonly gid: number }>;
  /** Paths that privacy protection closes. */
  closed(): readonly string[];
  /** Throws when the process that looks is dead. */
  demandAlive(): void;
}

/**
 * The files of a Mac as its programs see them: the disk at `/`, links resolved inside of it, other people's `Library`
 * shut (EACCES), what privacy protection closes refused (EPERM, root too), and nothing written outside of one's own
 * folders. Files and folders are real, so handles, links and renames are as well.
 */
export function macFiles(view: MacView): Files {
  // A Mac shows a process no descriptors as folders: names are used, as there.
  const real = realFiles("");
  const at = (path: string, follow: boolean, call: string) => {
    view.demandAlive();
    const resolved = resolveLinks(view.disk, path, follow, call);
    demandAccess(view, resolved, call);
    return { mac: resolved, real: join(view.disk, resolved) };
  };
  return {
    openFolder: async (path) => {
      const place = at(path, false, "open");
      return macFolder(view, place.mac, await told(path, () => real.openFolder(place.real)));
    },
    stat: async (path) => {
      const place = at(path, true, "stat");
      return owned(view, place.mac, await told(path, () => real.lstat(place.real)));
    },
    lstat: async (path) => {
      const place = at(path, false, "lstat");
      return owned(view, place.mac, await told(path, () => real.lstat(place.real)));
    },
    readLink: (path) => told(path, async () => await real.readLink(at(path, false, "readlink").real)),
    realPath: async (path) => {
      const place = at(path, true, "realpath");
      await told(path, () => real.lstat(place.real));
      return place.mac;
    },
    list: (path) => told(path, async () => await real.list(at(path, true, "readdir").real)),
    read: (path, cap) => told(path, async () => await real.read(at(path, true, "open").real, cap)),
  };
}

function macFolder(view: MacView, path: string, folder: Folder): Folder {
  const entry = (name: string, call: string) => {
    view.demandAlive();
    demandAccess(view, posix.join(path, name), call);
    return posix.join(path, name);
  };
  const change = (name: string, call: string) => demandWritable(view, entry(name, call), call);
  const file = (place: string, opened: OpenFile) => macFile(view, place, opened);
  const within = <T>(name: string, work: () => Promise<T>) => told(posix.join(path, name), work);
  return {
    path,
    stat: async () => owned(view, path, await folder.stat()),
    list: () =>
      within("", async () => {
        entry("", "readdir");
        return await folder.list();
      }),
    lstat: async (name) => {
      const place = entry(name, "lstat");
      return owned(view, place, await within(name, () => folder.lstat(name)));
    },
    openFile: async (name, access: FileAccess) => {
      const place = access === "read" ? entry(name, "open") : change(name, "open");
      return file(place, await within(name, () => folder.openFile(name, access)));
    },
    createFile: async (name, mode) => {
      const place = change(name, "open");
      const made = await within(name, () => folder.createFile(name, mode));
      return file(place, await ofCreator(view, made));
    },
    openFolder: async (name) => {
      const place = entry(name, "open");
      return macFolder(view, place, await within(name, () => folder.openFolder(name)));
    },
    makeFolder: async (name, mode) => {
      change(name, "mkdir");
      await within(name, () => folder.makeFolder(name, mode));
      setOwner(view, await folder.lstat(name));
    },
    rename: async (from, to) => {
      change(from, "rename");
      change(to, "rename");
      await within(from, () => folder.rename(from, to));
    },
    remove: (name) =>
      within(name, async () => {
        change(name, "unlink");
        await folder.remove(name);
      }),
    removeFolder: (name) =>
      within(name, async () => {
        change(name, "rmdir");
        await folder.removeFolder(name);
      }),
    sync: () => folder.sync(),
    close: () => folder.close(),
  };
}

function macFile(view: MacView, path: string, file: OpenFile): OpenFile {
  const alive = <T>(work: () => Promise<T>): Promise<T> => {
    view.demandAlive();
    return told(path, work);
  };
  return {
    fd: file.fd,
    stat: async () => owned(view, path, await file.stat()),
    read: (cap) => alive(() => file.read(cap)),
    readAt: (position, length) => alive(() => file.readAt(position, length)),
    write: (bytes) => alive(() => file.write(bytes)),
    append: (bytes) => alive(() => file.append(bytes)),
    chown: (uid, gid) =>
      alive(async () => {
        if (view.uid !== 0 && uid !== view.uid) throw new SystemError("EPERM", "fchown", path);
        const stat = await file.stat();
        view.owners.set(keyOf(stat), { uid, gid });
      }),
    chmod: (mode) => alive(() => file.chmod(mode)),
    sync: () => alive(() => file.sync()),
    close: () => file.close(),
  };
}

async function ofCreator(view: MacView, file: OpenFile): Promise<OpenFile> {
  setOwner(view, await file.stat());
  return file;
}

function setOwner(view: MacView, stat: FileStat): void {
  const gid = view.users.find((user) => user.uid === view.uid)?.gid ?? 0;
  view.owners.set(keyOf(stat), { uid: view.uid, gid });
}

/**
 * What the tools have set as root counts (the number of a file that is gone may be theirs by now); then what was set
 * here; else who the place belongs to.
 */
function owned(view: MacView, path: string, stat: FileStat): FileStat {
  const known = view.users.some((user) => user.uid === stat.uid && user.uid !== 0);
  if (process.geteuid?.() === 0 && known) return stat;
  const set = view.owners.get(keyOf(stat));
  if (set !== undefined) return { ...stat, ...set };
  const [, temporaryOf] = /^\/private\/var\/folders\/zz\/(\d+)\//.exec(path) ?? [];
  const owner = view.users.find(
    ({ uid, home }) => path === home || path.startsWith(`${home}/`) || temporaryOf === String(uid),
  );
  return { ...stat, uid: owner?.uid ?? 0, gid: owner?.gid ?? 0 };
}

function keyOf(stat: FileStat): string {
  return `${stat.dev} ${stat.ino}`;
}

function demandAccess(view: MacView, path: string, call: string): void {
  const within = (folder: string) => path === folder || path.startsWith(`${folder}/`);
  if (view.closed().some(within)) throw new SystemError("EPERM", call, path);
  if (view.uid === 0) return;
  const shut = view.users
    .filter(({ uid }) => uid !== view.uid)
    .map(({ uid, home }) => (uid === 0 ? `/private${home}` : `${home}/Library`));
  if (shut.some(within)) throw new SystemError("EACCES", call, path);
}

function demandWritable(view: MacView, path: string, call: string): string {
  const own = view.users.find(({ uid }) => uid === view.uid)?.home;
  const open = ["/private/tmp", "/private/var/folders", "/Users/Shared", ...(own === undefined ? [] : [own])];
  if (view.uid !== 0 && !open.some((folder) => path.startsWith(`${folder}/`)))
    throw new SystemError("EACCES", call, path);
  return path;
}

/** Links lead to places of the Mac, not of the machine that the test runs on. */
function resolveLinks(disk: string, path: string, followLast: boolean, call: string): string {
  let rest = path.split("/").filter((part) => part !== "" && part !== ".");
  let done = "/";
  for (let links = 0; rest.length > 0; ) {
    const [part = "", ...after] = rest;
    const next = posix.join(done, part);
    const target = after.length > 0 || followLast ? linkAt(join(disk, next)) : null;
    if (target === null) {
      done = next;
      rest = after;
      continue;
    }
    links += 1;
    if (links > 40) throw new SystemError("ELOOP", call, path);
    if (target.startsWith("/")) done = "/";
    rest = [...target.split("/").filter((step) => step !== "" && step !== "."), ...after];
  }
  return done;
}

function linkAt(path: string): string | null {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : null;
  } catch {
    return null;
  }
}

/** Refusals name the path as the program knows it. */
async function told<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof SystemError) throw new SystemError(error.code, error.call, path, { cause: error });
    throw error;
  }
}
