import { join, normalize } from "node:path";
import { type Files, type ProcessInfo, SystemError, type World } from "../world/world.ts";
import { accountOf } from "./accounts.ts";

/**
 * Names the folder *above* `Plex Media Server`; guides often leave out its `Library/Application Support`, so
 * nothing is assumed about how it ends. Source: support.plex.tv/articles/202915258, public unit files.
 */
export const SUPPORT_FOLDER_VARIABLE = "PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR";

/** The folder with settings, logs and databases, inside the folder that the variable names. */
const DATA_FOLDER_NAME = "Plex Media Server";

export const SETTINGS_NAME = "Preferences.xml";

/** The data folder inside a parent folder. */
export function dataFolderIn(parent: string): string {
  return join(parent, DATA_FOLDER_NAME);
}

/** Where a server keeps its data when nothing names a place: in the home of the account it runs under. */
export function dataFolderInHome(home: string): string {
  return dataFolderIn(join(home, "Library", "Application Support"));
}

/**
 * Where a running server may keep its data, the likeliest first: by its own environment, else in its home (as it
 * was told it, then as the account has it). Null when its environment may not be seen, empty when nothing helps.
 */
export async function dataFoldersOf(
  world: Pick<World, "run" | "files">,
  process: ProcessInfo,
): Promise<string[] | null> {
  if (process.env === null) return null;
  const parent = process.env[SUPPORT_FOLDER_VARIABLE];
  if (parent !== undefined && parent !== "") return [dataFolderIn(parent)];
  const account = await accountOf(world, String(process.uid));
  const homes = [process.env["HOME"], account?.home].filter((home) => home !== undefined && home !== "");
  return [...new Set(homes.map((home) => dataFolderInHome(home ?? "")))];
}

/** Whether something is there: a link counts, wherever it leads. `unseen`: this account may not look. */
export async function presence(files: Files, path: string): Promise<"there" | "absent" | "unseen"> {
  try {
    await files.lstat(path);
    return "there";
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return "absent";
    return error.code === "EACCES" || error.code === "EPERM" ? "unseen" : "there";
  }
}

/** The path without links; the path as it is where it cannot be resolved. */
export async function resolved(files: Files, path: string): Promise<string> {
  try {
    return await files.realPath(path);
  } catch (error) {
    if (error instanceof SystemError) return normalize(path).replace(/(?<=.)\/+$/u, "");
    throw error;
  }
}
