import type { Note } from "../model/event.ts";
import type { Server } from "../model/server.ts";
import type { World } from "../world/world.ts";

/** What is worth knowing about where a server lives, and stands in the way of nothing. */
export async function surroundings(
  world: Pick<World, "files" | "windows">,
  server: Server,
): Promise<readonly Note[]> {
  const { windows } = world;
  if (server.store === "defaults") {
    return (await import("../installs/macos-data-folder.ts")).macDataFolderNotes(world, server);
  }
  if (windows === undefined || server.store !== "registry") return [];
  const { dataFolderNotes } = await import("../installs/windows-data-folder.ts");
  const { updaterService } = await import("../installs/windows-services.ts");
  const { losesElevation } = await import("../services/tray.ts");
  const notes = await dataFolderNotes(world, server);
  const service = await updaterService(windows);
  if (service !== null) notes.push({ code: "UPDATER_RUNS", service });
  if (server.service.kind === "tray" && (await losesElevation(windows, server))) {
    notes.push({ code: "STARTED_WITHOUT_ELEVATION" });
  }
  return notes;
}
