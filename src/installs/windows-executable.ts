import { win32 } from "node:path";
import { EXECUTABLE_NAME } from "../services/windows-processes.ts";
import type { RegistryValue, WindowsSystem } from "../world/windows-system.ts";
import { SystemError, type World } from "../world/world.ts";
import { absolute, expanded, type Machine } from "./windows-machine.ts";
import { machineKey, SERVER_KEY, textAt, textIn } from "./windows-registry.ts";
import { updaterFolder } from "./windows-services.ts";

/**
 * The installed server's executable, or null when it is in none of its places: what the machine's registry says,
 * what the account's own says (old installers), beside the updater, and where programs go. Never a PATH.
 *
 * An account may have written its own key: what is found there alone may be started as that account and no other.
 * Sources: DBRepair for Windows, PmsService.
 */
export async function installedExecutable(
  world: Pick<World, "files"> & { readonly windows: WindowsSystem },
  machine: Machine,
  settings: readonly RegistryValue[],
): Promise<string | null> {
  const { windows, files } = world;
  const folders = [
    await textAt(windows, machineKey(MACHINE_KEY), "InstallFolder"),
    await textAt(windows, machineKey(MACHINE_KEY, "32"), "InstallFolder"),
    textIn(settings, "InstallFolder"),
    await updaterFolder(windows),
    ...machine.programFolders.map((folder) => win32.join(folder, "Plex", "Plex Media Server")),
  ];
  for (const text of folders) {
    const folder = absolute(expanded(machine.systemRoot, text));
    if (folder === null) continue;
    const executable = win32.join(folder, EXECUTABLE_NAME);
    if (await isFile(files, executable)) return executable;
  }
  return null;
}

const MACHINE_KEY = SERVER_KEY.replace(/^Software/u, "SOFTWARE");

async function isFile(files: World["files"], path: string): Promise<boolean> {
  try {
    return (await files.stat(path)).kind === "file";
  } catch (error) {
    if (error instanceof SystemError) return false;
    throw error;
  }
}
