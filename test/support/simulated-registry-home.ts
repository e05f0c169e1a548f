import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { otherAttributes, parsePreferences } from "../../src/stores/preferences-xml.ts";
import { realFiles } from "../../src/world/files.ts";
import type { RegistryValue, WindowsSystem } from "../../src/world/windows-system.ts";
import { type Files, SystemError, type World } from "../../src/world/world.ts";
import { fileAccessOnHost } from "./file-access-on-host.ts";
import { dwordValue, MemoryRegistry, textValue } from "./memory-registry.ts";
import type { SettingsHome, SimulatedMachine } from "./simulated-world.ts";

/** The account whose server it is, and as whom we run. */
const OWN_SID = "S-1-5-21-1-2-3-1001";
const REGISTRY_KEY = `HKEY_USERS\\${OWN_SID}\\Software\\Plex, Inc.\\Plex Media Server`;

const INSTALL_FOLDER = "C:\\Program Files\\Plex\\Plex Media Server";
const EXECUTABLE = `${INSTALL_FOLDER}\\Plex Media Server.exe`;
const SERVER_PID = 4242;

/**
 * Windows: the settings are in the registry of the account that runs us, and the server is the application beside the
 * clock. `LocalAppDataPath` leads to the real folder of the test, where the logs are.
 */
export function homeInRegistry(machine: SimulatedMachine): SettingsHome {
  const registry = new MemoryRegistry();
  registry.setKey(REGISTRY_KEY, []);
  registry.setKey("HKEY_LOCAL_MACHINE\\SOFTWARE\\Plex, Inc.\\Plex Media Server", [
    textValue("InstallFolder", INSTALL_FOLDER),
  ]);
  const write = (preferences: string) =>
    registry.setKey(REGISTRY_KEY, [
      textValue("LocalAppDataPath", `C:${dirname(machine.dataFolder).replaceAll("/", "\\")}`),
      ...valuesOf(preferences),
    ]);
  return {
    settingsPath: REGISTRY_KEY,
    tidy: ["Logs"],
    read: () => preferencesOf(registry.valuesAt(REGISTRY_KEY) ?? []),
    write,
    save: () => JSON.stringify(registry.valuesAt(REGISTRY_KEY)?.map(saved)),
    restore: (text) => registry.setKey(REGISTRY_KEY, (JSON.parse(text) as Saved[]).map(unsaved)),
    demandKept: () => demandTypes(registry.valuesAt(REGISTRY_KEY) ?? []),
    world: worldOf(machine, registry),
  };
}

type Saved = readonly [string, number, string];

function saved({ name, type, bytes }: RegistryValue): Saved {
  return [name, type, Buffer.from(bytes).toString("hex")];
}

function unsaved([name, type, hex]: Saved): RegistryValue {
  return { name, type, bytes: new Uint8Array(Buffer.from(hex, "hex")) };
}

/** As Plex keeps them there: PlexOnlineHome is a number, the rest here is text. */
function valuesOf(preferences: string): RegistryValue[] {
  const bytes = Buffer.from(preferences);
  const { token, username, mail, home } = parsePreferences(bytes, "").credentials;
  const texts = new Map(otherAttributes(bytes));
  texts.delete("LocalAppDataPath");
  const four: [string, string | undefined][] = [
    ["PlexOnlineToken", token?.reveal()],
    ["PlexOnlineUsername", username],
    ["PlexOnlineMail", mail],
  ];
  for (const [name, value] of four) if (value !== undefined) texts.set(name, value);
  const values = [...texts].map(([name, value]) => textValue(name, value));
  return home === undefined ? values : [...values, dwordValue("PlexOnlineHome", Number(home))];
}

function preferencesOf(values: readonly RegistryValue[]): string {
  const attributes = values
    .filter(({ name }) => name !== "LocalAppDataPath")
    .map(({ name, type, bytes }) => {
      const buffer = Buffer.from(bytes);
      const text = type === 4 ? String(buffer.readUInt32LE()) : buffer.toString("utf16le").replace(/\0$/, "");
      return ` ${name}="${escaped(text)}"`;
    });
  return `<?xml version="1.0" encoding="utf-8"?>\n<Preferences${attributes.join("")}/>\n`;
}

function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll('"', "&quot;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
}

function demandTypes(values: readonly RegistryValue[]): void {
  const wrong = values.filter(({ name, type }) => type !== (name === "PlexOnlineHome" ? 4 : 1));
  if (wrong.length > 0) throw new Error(`another type: ${wrong.map(({ name }) => name).join(" ")}`);
}

function worldOf(machine: SimulatedMachine, registry: MemoryRegistry): Partial<World> {
  const windows: WindowsSystem = {
    self: { sid: OWN_SID, elevated: false, split: false, session: 1 },
    machine: { systemFolder: "C:\\Windows\\system32", programData: "C:\\ProgramData" },
    registry,
    accounts: {
      nameOf: async (sid) => (sid === OWN_SID ? "DEN\\jane" : null),
      sidOf: async (name) => (name.toLowerCase() === "den\\jane" ? OWN_SID : null),
    },
    processes: {
      ownPid: 77,
      list: async () => [
        { pid: 500, parent: 1, name: "explorer.exe" },
        ...(machine.running ? [{ pid: SERVER_PID, parent: 500, name: "Plex Media Server.exe" }] : []),
      ],
      details: async (pid) => {
        if (pid !== 500 && !(pid === SERVER_PID && machine.running)) return null;
        return {
          startedMs: pid === 500 ? 1 : 1_000 + machine.startTicks,
          executable: pid === 500 ? "C:\\Windows\\explorer.exe" : EXECUTABLE,
          session: 1,
          owner: { sid: OWN_SID, elevated: false },
        };
      },
      closeWindows: async (pid) => {
        if (pid !== SERVER_PID || !machine.running) return 0;
        machine.stop();
        return 1;
      },
      start: async (executable) => {
        if (executable !== EXECUTABLE) throw new SystemError("ENOENT", "start", executable);
        if (machine.failStarts > 0) {
          machine.failStarts -= 1;
          throw new SystemError("EIO", "start", executable);
        }
        if (!machine.running) machine.start();
      },
      startLike: async (_pid, _sid, executable) => {
        throw new SystemError("EPERM", "startLike", executable);
      },
    },
    services: {
      list: async () => [],
      query: async () => null,
      mayControl: async (name) => {
        throw new SystemError("ENOENT", "mayControl", name);
      },
      stop: async (name) => {
        throw new SystemError("ENOENT", "stop", name);
      },
      start: async (name) => {
        throw new SystemError("ENOENT", "start", name);
      },
    },
    folders: {
      makePrivate: async (path) => {
        mkdirSync(path, { mode: 0o700 });
      },
      accessOf: async () => ({ owner: OWN_SID, allowed: [OWN_SID, "S-1-5-18", "S-1-5-32-544"] }),
      ...fileAccessOnHost(),
    },
  };
  return {
    platform: "win32",
    windows,
    user: { uid: -1, gid: -1, name: "jane", home: machine.folder },
    files: filesOfWindows(),
  };
}

/** The real ones: a path on `C:`, with backslashes, is the same place without. */
function filesOfWindows(): Files {
  const real = realFiles();
  const here = (path: string) => path.replace(/^C:/u, "").replaceAll("\\", "/");
  return {
    openFolder: (path) => real.openFolder(here(path)),
    // The program is installed, and nothing of it is ever run.
    stat: (path) => real.stat(path === EXECUTABLE ? process.execPath : here(path)),
    lstat: (path) => real.lstat(here(path)),
    readLink: (path) => real.readLink(here(path)),
    realPath: async (path) => `C:${(await real.realPath(here(path))).replaceAll("/", "\\")}`,
    list: (path) => real.list(here(path)),
    read: (path, capBytes) => real.read(here(path), capBytes),
  };
}
