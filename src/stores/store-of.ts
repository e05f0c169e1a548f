import type { Note } from "../model/event.ts";
import { ProblemError } from "../model/problem.ts";
import { type Server, uidOf } from "../model/server.ts";
import type { World } from "../world/world.ts";
import type { SettingsStore } from "./store.ts";

export interface StoreOptions {
  /** Nothing at all may change: the hive of a Windows account that is not signed in is not even loaded. */
  readonly readOnly: boolean;
  /** Told what is worth knowing about the settings. */
  onNote(note: Note): void;
}

/** Opens the settings of a server in the way they are kept; each mechanism is loaded when it is needed. */
export async function openStore(
  world: World,
  server: Server,
  { readOnly, onNote }: StoreOptions,
): Promise<SettingsStore> {
  switch (server.store) {
    case "xml":
    case "plist": {
      const { openPreferencesFile } = await import("./preferences-file.ts");
      const uid = uidOf(server);
      return openPreferencesFile(world, server.settingsPath, {
        ...(uid === undefined ? {} : { expectedOwner: { uid } }),
        ...(server.store === "plist" ? { format: (await import("./plist-format.ts")).PLIST } : {}),
        readOnly,
        onNote,
      });
    }
    case "defaults":
      return (await import("./defaults-store.ts")).openDefaultsStore(world, server, { readOnly });
    case "registry": {
      const { windows } = world;
      if (windows === undefined)
        throw new ProblemError({ code: "UNSUPPORTED_PLATFORM", platform: world.platform });
      return (await import("./registry-store.ts")).openRegistryStore(windows, server, {
        ...(readOnly ? {} : { hiveFiles: world.files }),
        clock: world.clock,
      });
    }
  }
}
