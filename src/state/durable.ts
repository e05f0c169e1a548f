import type { Folder, OpenFile } from "../world/world.ts";
import { SystemError } from "../world/world.ts";

/**
 * Files in our own state directory: small, private (0600), and durable before a call returns. The directory
 * belongs to us alone, so none of the care for hostile folders is needed here (that is `stores/`).
 */

/** The largest file that we keep or read back: a settings file of 1 MiB and its envelope. */
const CAP_BYTES = 4 * 1024 * 1024;

/** Writes a whole file so that after a crash it is there complete, or not at all; an older one is replaced. */
export async function writeDurably(folder: Folder, name: string, bytes: Uint8Array): Promise<void> {
  const temporary = `.${name}.new`;
  await removeIfThere(folder, temporary);
  const file = await folder.createFile(temporary, 0o600);
  try {
    try {
      await file.write(bytes);
      await file.sync();
    } finally {
      await release(() => file.close());
    }
    await folder.rename(temporary, name);
  } catch (error) {
    // It may hold a secret; the failure itself is what is told.
    await removeIfThere(folder, temporary).catch(() => undefined);
    throw error;
  }
  await folder.sync();
}

/** Removes a file of ours, and half of one that a crash may have left beside it. */
export async function removeWithRemains(folder: Folder, name: string): Promise<void> {
  await removeIfThere(folder, name);
  await removeIfThere(folder, `.${name}.new`);
}

/** The bytes of one of our files, or null when it does not exist. */
export async function readIfThere(folder: Folder, name: string): Promise<Uint8Array | null> {
  const file = await absentAsNull(folder.openFile(name, "read"));
  if (file === null) return null;
  try {
    return await file.read(CAP_BYTES);
  } finally {
    await release(() => file.close());
  }
}

/**
 * Adds one line to a file and makes it durable; the file is made when it does not exist. Half a line that a
 * crash left at the end is closed first, so that it cannot swallow the new one.
 */
export async function appendLine(folder: Folder, name: string, line: string): Promise<void> {
  const existing = await absentAsNull(folder.openFile(name, "append"));
  const file = existing ?? (await madeOrThere(folder, name));
  try {
    const before = (await endsInsideLine(file)) ? "\n" : "";
    await file.append(new TextEncoder().encode(`${before}${line}\n`));
    await file.sync();
  } finally {
    await release(() => file.close());
  }
  if (existing === null) await folder.sync();
}

/** Another run of ours, on another server, may be faster. */
async function madeOrThere(folder: Folder, name: string): Promise<OpenFile> {
  try {
    return await folder.createFile(name, 0o600);
  } catch (error) {
    if (!(error instanceof SystemError && error.code === "EEXIST")) throw error;
    return folder.openFile(name, "append");
  }
}

async function endsInsideLine(file: OpenFile): Promise<boolean> {
  const { size } = await file.stat();
  if (size === 0) return false;
  const [last] = await file.readAt(size - 1, 1);
  return last !== NEWLINE;
}

const NEWLINE = 0x0a;

export async function removeIfThere(folder: Folder, name: string): Promise<void> {
  await absentAsNull(folder.remove(name));
}

/** A sub-folder of ours (0700), made durable when it is new. */
export async function ensureFolder(parent: Folder, name: string): Promise<Folder> {
  const existing = await absentAsNull(parent.openFolder(name));
  if (existing !== null) return existing;
  try {
    await parent.makeFolder(name, 0o700);
  } catch (error) {
    // Another run of ours, on another server, was faster.
    if (!(error instanceof SystemError && error.code === "EEXIST")) throw error;
  }
  await parent.sync();
  return parent.openFolder(name);
}

/**
 * Gives back a handle or a lock. What it was for is done by then: a refusal here changes nothing of that, and the
 * system takes both back when the process ends.
 */
export async function release(giveBack: () => Promise<void>): Promise<void> {
  try {
    await giveBack();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
}

/** Answers null for `ENOENT`; everything else goes on as it was thrown. */
export async function absentAsNull<T>(pending: Promise<T>): Promise<T | null> {
  try {
    return await pending;
  } catch (error) {
    if (error instanceof SystemError && error.code === "ENOENT") return null;
    throw error;
  }
}
