import { posix } from "node:path";
import { ProblemError } from "../model/problem.ts";
import { SystemError } from "../world/world.ts";
import { contentOf } from "./defaults-content.ts";
import type { DefaultsDomain } from "./defaults-domain.ts";
import { closeQuietly, openTarget, TARGET_CAP_BYTES } from "./target-file.ts";

/**
 * The file in which the daemon keeps a domain, as it lies there by now; null when there is none.
 *
 * Throws `SETTINGS_UNSAFE` where it is not the account's own, `SystemError`, and `PRIVACY_PROTECTED`: modes and access
 * lists say `EACCES`; with `EPERM` somebody is kept out, root too, by privacy protection or by the sandbox of the
 * program that started us (developer.apple.com/forums/thread/678819). Neither is known to close this folder to a
 * terminal; what it closes are the containers and folders of documents.
 */
export async function daemonFile({ world, user, path }: DefaultsDomain): Promise<Uint8Array | null> {
  try {
    const folder = await world.files.openFolder(await world.files.realPath(posix.dirname(path)));
    try {
      const acceptsOwner = (uid: number) => uid === user.uid;
      const target = await openTarget({ folder, name: posix.basename(path), path, acceptsOwner });
      if (target === null) return null;
      try {
        return await target.file.read(TARGET_CAP_BYTES);
      } finally {
        await closeQuietly(target.file);
      }
    } finally {
      await closeQuietly(folder);
    }
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.code === "ENOENT") return null;
    if (error.code !== "EPERM") throw error;
    throw new ProblemError({ code: "PRIVACY_PROTECTED", path }, { cause: error });
  }
}

/** Whether it is a property list with keys in it. */
export function holdsKeys(bytes: Uint8Array, path: string): boolean {
  try {
    return contentOf(bytes, path).size > 0;
  } catch (error) {
    if (error instanceof ProblemError) return false;
    throw error;
  }
}
