import { ProblemError } from "../model/problem.ts";
import type { Server } from "../model/server.ts";
import type { World } from "../world/world.ts";
import type { SettingsStore } from "./store.ts";
import type { StoreOptions } from "./store-of.ts";

/** TODO: being built. */
export async function openDefaultsStore(
  _world: World,
  _server: Server,
  _options: StoreOptions,
): Promise<SettingsStore> {
  throw new ProblemError({ code: "INTERNAL", detail: "not built" });
}
