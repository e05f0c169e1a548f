import { dirname } from "node:path";
import type { Folder, World } from "../world/world.ts";
import { unsafe } from "./target-file.ts";

/**
 * That nobody but root can lead the folder of a file elsewhere, on a Mac and for root; `path` is for the problem.
 *
 * Nothing reaches an entry there through a folder that is held open: names are used after a look whether they still lead
 * to it, and who may write in a folder on the way can exchange it for another one in between. Root would then write
 * outside. Whose the file is can do without root. Access lists, which could let somebody in besides, are not looked at.
 *
 * Throws `SETTINGS_UNSAFE` (`folder-not-roots`) unless the folder and all above it are root's and nobody else may write in
 * them, and `SystemError`. A folder in which all may write is refused though it be sticky: what it holds stays, but
 * anybody's may appear beside it.
 */
export async function demandFoldersOfRoot(
  world: Pick<World, "platform" | "user" | "files">,
  { folder, path }: { readonly folder: Pick<Folder, "path">; readonly path: string },
): Promise<void> {
  if (world.platform !== "darwin" || world.user.uid !== 0) return;
  for (const above of foldersTo(folder.path)) {
    const { kind, uid, mode } = await world.files.lstat(above);
    if (kind !== "folder" || uid !== 0 || (mode & WRITABLE_BY_OTHERS) !== 0) {
      throw unsafe(path, "folder-not-roots");
    }
  }
}

/**
 * One for all names that a Mac's file systems may take for the same: they know no case unless they were made to, and no
 * composition of characters (APFS; HFS+). Where they do, two files get one, which does no harm to a lock.
 */
export function foldedName(name: string): string {
  // By way of upper case, in which those are one that have no lower case of their own.
  return name.normalize("NFC").toUpperCase().toLowerCase().normalize("NFC");
}

const WRITABLE_BY_OTHERS = 0o022;

/** From the top, so that what has been looked at cannot be moved any more by anybody else. */
function foldersTo(folder: string): readonly string[] {
  const above = dirname(folder);
  return above === folder ? [folder] : [...foldersTo(above), folder];
}
