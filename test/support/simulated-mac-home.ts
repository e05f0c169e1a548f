import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeBinaryPlist } from "../../src/stores/plist-binary-writer.ts";
import { readPlist } from "../../src/stores/plist-reader.ts";
import { type PlistValue, realOf } from "../../src/stores/plist-value.ts";
import { otherAttributes, parsePreferences } from "../../src/stores/preferences-xml.ts";
import { realFiles } from "../../src/world/files.ts";
import {
  type FileStat,
  type RunOptions,
  type RunResult,
  SystemError,
  type World,
} from "../../src/world/world.ts";
import type { SettingsHome, SimulatedMachine } from "./simulated-world.ts";

/**
 * A Mac: the settings are in the preferences domain of the account that runs us, and the server is an application of
 * its desktop. The daemon keeps the domain in memory for good, and it writes into the file what it has when time
 * passes, or before the next change: whoever reads the file reads what was, and whoever edits it edits nothing. Time, tools and processes are those of the simulated machine; the
 * stand-in Mac of `mac.ts` is the one whose behaviour has sources.
 */
export function homeInDomain(machine: SimulatedMachine): SettingsHome {
  const daemon = new Daemon(join(machine.folder, "home"));
  daemon.values.set("LocalAppDataPath", string(machine.folder));
  for (const [name, value] of OF_A_MAC) daemon.values.set(name, value);
  const temporary = join(machine.folder, "T");
  mkdirSync(temporary);
  mkdirSync(daemon.logFolder, { recursive: true });
  mkdirSync(join(daemon.home, "Applications", `${APPLICATION}.app`), { recursive: true });
  return {
    settingsPath: daemon.path,
    logFolder: daemon.logFolder,
    tidy: ["Logs"],
    read: () => preferencesOf(daemon.values),
    write: (preferences) => {
      daemon.writeFile();
      for (const name of [...daemon.values.keys()]) if (!isOfAMac(name)) daemon.values.delete(name);
      for (const [name, value] of valuesOf(preferences)) daemon.values.set(name, value);
    },
    save: () => daemon.save(),
    restore: (saved) => daemon.restore(saved),
    timePasses: () => daemon.writeFile(),
    demandKept: () => demandKept(daemon.values, machine.folder),
    leftBehind: () => filesBelow(temporary),
    world: worldOf(machine, daemon, temporary),
  };
}

const DOMAIN = "com.plexapp.plexmediaserver";
const JANE = { uid: 501, gid: 20, name: "jane" } as const;
const APPLICATION = "Plex Media Server";
const SERVER_PID = 4242;

type Values = Map<string, PlistValue>;

/** What no `Preferences.xml` can have: nobody may lose any of it. */
const OF_A_MAC: readonly (readonly [string, PlistValue])[] = [
  ["SULastCheckTime", { kind: "date", seconds: 801_234_567.25 }],
  ["NSStatusItem Preferred Position Item-0", realOf(512)],
  ["NSOSPLastRootDirectory", { kind: "data", bytes: Buffer.from("626f6f6b00", "hex") }],
  ["AppleLanguages", { kind: "array", items: [string("ru-RU"), string("日本語 🎬")] }],
  ["Windows", { kind: "dictionary", entries: [["12", { kind: "integer", value: 2n ** 63n }]] }],
];
const NUMBERS = ["PlexOnlineHome", "PubSubServerPing", "secureConnections"];

function isOfAMac(name: string): boolean {
  return name === "LocalAppDataPath" || OF_A_MAC.some(([each]) => each === name);
}

function string(value: string): PlistValue {
  return { kind: "string", value };
}

/** The domain as the daemon has it. */
class Daemon {
  readonly home: string;
  readonly path: string;
  readonly logFolder: string;
  readonly executable: string;
  readonly values: Values = new Map();
  /** Domains that are named by the paths of their files. */
  readonly byPath = new Map<string, Values>();

  constructor(home: string) {
    this.home = home;
    this.path = join(home, "Library", "Preferences", `${DOMAIN}.plist`);
    this.logFolder = join(home, "Library", "Logs", APPLICATION);
    this.executable = join(home, "Applications", `${APPLICATION}.app`, "Contents", "MacOS", APPLICATION);
    mkdirSync(join(home, "Library", "Preferences"), { recursive: true });
  }

  /** In another order than anybody has put them in. */
  bytes(): Uint8Array {
    return writeBinaryPlist({ kind: "dictionary", entries: [...this.values].sort(backwards) });
  }

  /** What is now, before the next change. A new file takes the place of the old one. */
  writeFile(): void {
    writeFileSync(`${this.path}.new`, this.bytes(), { mode: 0o600 });
    renameSync(`${this.path}.new`, this.path);
  }

  /** UNVERIFIED of a Mac, so the way that leaves more to do: what is not in the list stays. */
  merge(bytes: Uint8Array): void {
    this.writeFile();
    for (const [name, value] of entriesOf(bytes)) this.values.set(name, value);
  }

  remove(name: string): boolean {
    this.writeFile();
    return this.values.delete(name);
  }

  save(): string {
    return Buffer.from(this.bytes()).toString("hex");
  }

  restore(saved: string): void {
    this.values.clear();
    for (const [name, value] of entriesOf(Buffer.from(saved, "hex"))) this.values.set(name, value);
  }
}

function backwards([one]: readonly [string, unknown], [other]: readonly [string, unknown]): number {
  return one < other ? 1 : -1;
}

function entriesOf(bytes: Uint8Array): readonly (readonly [string, PlistValue])[] {
  const { root } = readPlist(bytes, "");
  if (root.kind !== "dictionary") throw new Error("no dictionary");
  return root.entries;
}

function valuesOf(preferences: string): (readonly [string, PlistValue])[] {
  const bytes = Buffer.from(preferences);
  const { token, username, mail, home } = parsePreferences(bytes, "").credentials;
  const four = { PlexOnlineToken: token?.reveal(), PlexOnlineUsername: username, PlexOnlineMail: mail };
  const texts = new Map(otherAttributes(bytes));
  for (const [name, value] of Object.entries({ ...four, PlexOnlineHome: home }))
    if (value !== undefined) texts.set(name, value);
  return [...texts].map(([name, text]) =>
    NUMBERS.includes(name) ? [name, { kind: "integer", value: BigInt(text) }] : [name, string(text)],
  );
}

function preferencesOf(values: Values): string {
  const attributes = [...values]
    .filter(([name]) => !isOfAMac(name))
    .sort(backwards)
    .map(([name, value]) => {
      if (value.kind !== "string" && value.kind !== "integer") throw new Error(`${name} is a ${value.kind}`);
      return ` ${name}="${escaped(String(value.value))}"`;
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

function demandKept(values: Values, folder: string): void {
  for (const [name, value] of [...OF_A_MAC, ["LocalAppDataPath", string(folder)] as const]) {
    const standing = values.get(name);
    const isSame =
      standing !== undefined && Buffer.compare(writeBinaryPlist(standing), writeBinaryPlist(value)) === 0;
    if (!isSame) throw new Error(`${name} is not what it was`);
  }
  for (const [name, { kind }] of values) {
    if (isOfAMac(name) || kind === (NUMBERS.includes(name) ? "integer" : "string")) continue;
    throw new Error(`another type: ${name} is a ${kind}`);
  }
}

function filesBelow(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
}

function worldOf(machine: SimulatedMachine, daemon: Daemon, temporary: string): Partial<World> {
  return {
    platform: "darwin",
    user: { ...JANE, home: daemon.home },
    env: { HOME: daemon.home, USER: JANE.name, TMPDIR: `${temporary}/` },
    files: ownedByJane(realFiles("")),
    processes: {
      ownPid: 77,
      plexMediaServers: async () => {
        throw new SystemError("ENOSYS", "readdir", "/proc");
      },
    },
    run: async (file, args, options) => tool({ machine, daemon, temporary }, file, args, options),
  };
}

/** Whoever runs the test: on this machine it is Jane's. */
function ownedByJane<T extends object>(target: T): T {
  return new Proxy(target, {
    get(object, key) {
      const value: unknown = Reflect.get(object, key, object);
      if (typeof value !== "function") return value;
      return async (...args: unknown[]) => {
        const result: unknown = await Reflect.apply(value, object, args);
        if (typeof result !== "object" || result === null || result instanceof Uint8Array) return result;
        if ("close" in result) return ownedByJane(result);
        return "ino" in result ? ({ ...result, uid: JANE.uid, gid: JANE.gid } as FileStat) : result;
      };
    },
  });
}

interface Parts {
  readonly machine: SimulatedMachine;
  readonly daemon: Daemon;
  readonly temporary: string;
}

type Tool = (parts: Parts, args: readonly string[], options: RunOptions) => RunResult;

function tool(parts: Parts, file: string, args: readonly string[], options: RunOptions): RunResult {
  const found = TOOLS[file];
  if (found === undefined) throw new SystemError("ENOENT", "spawn", file);
  return found(parts, args, options);
}

const TOOLS: Readonly<Record<string, Tool>> = {
  "/usr/bin/defaults": defaults,
  "/usr/bin/mktemp": ({ temporary }, [, , prefix = ""]) => {
    const used = new Set(readdirSync(temporary));
    const named = (number: number) => `${prefix}.${String(number).padStart(8, "0")}`;
    let number = 0;
    while (used.has(named(number))) number += 1;
    mkdirSync(join(temporary, named(number)), { mode: 0o700 });
    return said(`${join(temporary, named(number))}\n`);
  },
  "/bin/rm": ({ temporary }, [options, , path = ""]) => {
    if (options !== "-rf" || !path.startsWith(`${temporary}/`)) throw new SystemError("EPERM", "rm", path);
    rmSync(path, { recursive: true, force: true });
    return said("");
  },
  // Nothing of ours is in the list: whoever looks at what another process has left, finds that it is dead.
  "/bin/ps": ({ machine, daemon }) => {
    const server = [SERVER_PID, 1, JANE.uid, "S", startOf(machine.startTicks), daemon.executable];
    const all = [[1, 0, 0, "Ss", startOf(0), "/sbin/launchd"], ...(machine.running ? [server] : [])];
    return said(all.map((cells) => `${cells.join(" ")}\n`).join(""));
  },
  "/bin/launchctl": launchctl,
  "/usr/bin/env": (parts, args, options) => {
    const at = args.findIndex((word) => word.startsWith("/"));
    return tool(parts, args[at] ?? "", args.slice(at + 1), options);
  },
  "/usr/bin/dscl": (_parts, args) =>
    args[1] === "-list"
      ? said(`jane                     ${JANE.uid}\nroot                     0\n`)
      : failed("", 56),
  "/usr/bin/id": () => said(`${JANE.name}\n`),
  "/usr/bin/plutil": () => failed("file does not exist"),
  "/usr/bin/osascript": osascript,
  "/usr/bin/open": ({ machine }) => {
    if (machine.failStarts > 0) {
      machine.failStarts -= 1;
      return failed("_LSOpenURLsWithCompletionHandler() failed with error -10810.");
    }
    if (!machine.running) machine.start();
    return said("");
  },
};

/** `Sun Nov 22 03:15:00 2026`, ticks being seconds here. */
function startOf(ticks: number): string {
  const [day = "", date = "", month = "", year = "", time = ""] = new Date(
    Date.UTC(2026, 10, 21) + ticks * 1000,
  )
    .toUTCString()
    .split(/,? /u);
  return `${day} ${month} ${date.padStart(2, " ")} ${time} ${year}`;
}

function defaults({ daemon }: Parts, args: readonly string[], { stdin }: RunOptions): RunResult {
  const [verb, domain, word = ""] = args;
  if (verb === "domains") return said(`com.apple.dock, ${DOMAIN}\n`);
  if (domain?.startsWith("/")) return byPath(daemon, [verb ?? "", domain, word], stdin);
  if (domain !== DOMAIN) return failed("no such domain");
  switch (verb) {
    case "export":
      writeFileSync(word, daemon.bytes(), { mode: 0o600 });
      return said("");
    case "import":
      daemon.merge(word === "-" ? Buffer.from(stdin ?? "") : readFileSync(word));
      return said("");
    case "delete":
      return daemon.remove(word) ? said("") : failed("no such key");
    case "read": {
      const value = daemon.values.get(word);
      return value?.kind === "string" ? said(`${value.value}\n`) : failed("no such key");
    }
    default:
      return failed("usage", 255);
  }
}

function byPath(
  { byPath: domains }: Daemon,
  [verb, path, file]: readonly [string, string, string],
  stdin: RunOptions["stdin"],
): RunResult {
  const values = domains.get(path) ?? new Map();
  if (verb === "import") domains.set(path, new Map([...values, ...entriesOf(Buffer.from(stdin ?? ""))]));
  else if (verb === "export")
    writeFileSync(file, writeBinaryPlist({ kind: "dictionary", entries: [...values] }));
  else return failed("usage", 255);
  return said("");
}

function launchctl(_parts: Parts, [verb, target]: readonly string[]): RunResult {
  if (verb === "managername") return said("Aqua\n");
  if (verb === "list") return said(`PID\tStatus\tLabel\n${SERVER_PID}\t0\tapplication.${DOMAIN}.1.2\n`);
  if (verb === "print") return target === `gui/${JANE.uid}` ? said("…\n") : failed("no such service", 113);
  throw new SystemError("ENOENT", "spawn", `launchctl ${verb}`);
}

function osascript({ machine }: Parts, args: readonly string[]): RunResult {
  const script = args.filter((word) => word !== "-e").join("\n");
  if (script.endsWith("is running")) return said(`${machine.running}\n`);
  // What is told something is started for it.
  if (!machine.running) machine.start();
  if (/ to quit$/mu.test(script)) machine.stop();
  return said("");
}

function said(stdout: string): RunResult {
  return { status: 0, signal: null, timedOut: false, stdout, stderr: "" };
}

function failed(stderr: string, status = 1): RunResult {
  return { status, signal: null, timedOut: false, stdout: "", stderr: `${stderr}\n` };
}
