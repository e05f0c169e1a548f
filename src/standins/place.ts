import { constants } from "node:fs";
import { chmod, copyFile, link, mkdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";

/**
 * Puts the running Node binary into a folder under the name of the real server, so that the process it
 * becomes looks like one: by a hard link, else by a copy that shares its blocks where the file system can.
 * As a link it shares owner and mode with that binary: change neither. Answers the executable's path; doing it twice is harmless.
 */
export async function placeExecutable(folder: string): Promise<string> {
  const target = join(folder, EXECUTABLE_NAME);
  await mkdir(folder, { recursive: true });
  if (await sameFile(process.execPath, target)) return target;
  await rm(target, { force: true });
  try {
    await link(process.execPath, target);
  } catch {
    // Another file system, no hard links there, or links to others' files forbidden (fs.protected_hardlinks).
    await copyFile(process.execPath, target, constants.COPYFILE_FICLONE);
    await chmod(target, 0o755);
  }
  return target;
}

/** The name of the real server's executable (source: DBR, `pidof 'Plex Media Server'`). */
const EXECUTABLE_NAME = "Plex Media Server";

async function sameFile(a: string, b: string): Promise<boolean> {
  try {
    const [first, second] = await Promise.all([stat(a, { bigint: true }), stat(b, { bigint: true })]);
    return first.dev === second.dev && first.ino === second.ino;
  } catch {
    return false;
  }
}
