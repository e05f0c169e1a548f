import { posix } from "node:path";
import type { Note } from "../model/event.ts";
import type { Server } from "../model/server.ts";
import { SystemError, type World } from "../world/world.ts";

/** Says that a server's data folder, or the one above it, is a link. Says nothing of what it may not see. */
export async function macDataFolderNotes(
  { files }: Pick<World, "files">,
  { dataFolder: path }: Pick<Server, "dataFolder">,
): Promise<Note[]> {
  for (const each of [path, posix.dirname(path)]) {
    try {
      if ((await files.lstat(each)).kind === "link")
        return [{ code: "DATA_FOLDER_REDIRECTED", path, how: "link" }];
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
    }
  }
  return [];
}
