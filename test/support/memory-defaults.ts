import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { writeBinaryPlist } from "../../src/stores/plist-binary-writer.ts";
import { readPlist } from "../../src/stores/plist-reader.ts";
import { numberOfReal, type PlistValue, realOf } from "../../src/stores/plist-value.ts";
import { realFiles } from "../../src/world/files.ts";
import type { RunOptions, RunResult, World } from "../../src/world/world.ts";
import { type MacFault, MacFaults, ProcessDied } from "./mac-tools.ts";

export type MemoryValues = ReadonlyMap<string, PlistValue>;

/**
 * What the store asks of a Mac, without one process: `defaults`, `mktemp`, `ps` and `rm` of the running account, as the
 * programs in `test/mac/tools` do it. For many faults and many contents; the programs are what the contract is held on.
 */
export class MemoryDefaults {
  values: MemoryValues = new Map();
  importReplaces = false;
  /** Imports into a domain that is named by a path do the other thing. */
  pathsDiffer = false;
  /** What a way into the daemon does to dates (nanoseconds since 1970, cut off) and to reals of 4 bytes. */
  transport: "exact" | "lossy" = "exact";
  /** What is exported instead of the values. */
  exports: Uint8Array | null = null;
  /** What is exported of a domain that is named by a path instead of its values. */
  probeExports: Uint8Array | null = null;
  /** What each import into the account's domain was handed over. */
  readonly handed: MemoryValues[] = [];
  /** The processes that `ps` shows besides the first one: number and seconds since 1970. */
  running: ReadonlyMap<number, number> = new Map();
  /** The number of the processes that `world` makes. */
  pid = 4711;
  /** Told before a call is made, with how many there have been. */
  beforeRun: (calls: number) => void = () => undefined;
  /** What to do before a call is carried out: somebody else at work. */
  beforeCall: (line: string) => void = () => undefined;
  readonly settingsPath: string;
  readonly #folder = mkdtempSync(join(tmpdir(), "memory-defaults-"));
  readonly #faults = new MacFaults();
  readonly #lines: string[] = [];
  /** By their paths. */
  readonly #paths = new Map<string, MemoryValues>();
  #refuses = false;

  constructor() {
    onTestFinished(() => rmSync(this.#folder, { recursive: true, force: true }));
    mkdirSync(join(this.#folder, "Preferences"));
    mkdirSync(join(this.#folder, "T"));
    this.settingsPath = join(this.#folder, "Preferences", `${DOMAIN}.plist`);
  }

  get server() {
    const account = { name: "jane", uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    return { settingsPath: this.settingsPath, account };
  }

  get temporary(): string {
    return join(this.#folder, "T");
  }

  /** Every call that was made, its words with spaces between. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  /** A process of the account; a fault may end it, and no other. */
  world(): Pick<World, "run" | "user" | "files" | "processes"> {
    const { account } = this.server;
    const life = { dead: false };
    return {
      user: { ...account, home: this.#folder },
      files: realFiles(""),
      processes: { ownPid: this.pid, plexMediaServers: async () => [] },
      run: (file, args, options) => {
        if (life.dead) throw new ProcessDied();
        this.beforeRun(this.#lines.length);
        this.#lines.push([file, ...args].join(" "));
        const tool = file.slice(file.lastIndexOf("/") + 1);
        return this.#faults.around(tool, async () => this.#run(tool, args, options), life);
      },
    };
  }

  fault(fault: MacFault | null): void {
    this.#faults.set(fault);
  }

  /** From now on nothing that would change the domain does. */
  refuseChanges(refuses: boolean): void {
    this.#refuses = refuses;
  }

  #run(tool: string, args: readonly string[], { stdin }: RunOptions): RunResult {
    this.beforeCall([tool, ...args].join(" "));
    const [verb = "", domain = "", third = ""] = args;
    if (tool === "mktemp") return ended(0, `${mkdtempSync(join(this.temporary, `${third}.`))}\n`);
    if (tool === "ps") return ended(0, this.#processes());
    if (tool === "rm") rmSync(third, { recursive: true, force: true });
    else if (tool !== "defaults") return ended(127);
    else if (domain.startsWith("/")) this.#ofPath(verb, domain, third, stdin);
    else if (verb === "export") writeFileSync(third, this.exports ?? this.#exported());
    else if (verb === "domains")
      return ended(0, `com.apple.dock${this.values.size > 0 ? `, ${DOMAIN}` : ""}\n`);
    else if (this.#refuses) return ended(1);
    else if (verb === "delete") return ended(this.#delete(third) ? 0 : 1);
    else if (verb === "import") this.#import(stdin);
    return ended(0);
  }

  #processes(): string {
    const rows = [[1, 0] as const, ...this.running].map(([pid, seconds]) => {
      const [, date = "", month = "", year = "", time = ""] = new Date(seconds * 1000)
        .toUTCString()
        .split(/,? /u);
      return `${pid} 1 501 S Sun ${month} ${date.padStart(2, " ")} ${time} ${year} /usr/bin/node\n`;
    });
    return rows.join("");
  }

  /** In another order each time. */
  #exported(): Uint8Array {
    const entries = [...this.values];
    const from = this.#lines.length % Math.max(entries.length, 1);
    return writeBinaryPlist({
      kind: "dictionary",
      entries: [...entries.slice(from), ...entries.slice(0, from)],
    });
  }

  #delete(key: string): boolean {
    const isThere = this.values.has(key);
    this.values = new Map([...this.values].filter(([name]) => name !== key));
    return isThere;
  }

  #import(stdin: RunOptions["stdin"]): void {
    const values = this.#handedOver(stdin);
    this.handed.push(values);
    this.values = new Map([...(this.importReplaces ? [] : this.values), ...values]);
  }

  #ofPath(verb: string, path: string, file: string, stdin: RunOptions["stdin"]): void {
    const values = this.#paths.get(path) ?? new Map();
    const replaces = this.importReplaces !== this.pathsDiffer;
    if (verb === "import")
      this.#paths.set(path, new Map([...(replaces ? [] : values), ...this.#handedOver(stdin)]));
    else
      writeFileSync(
        file,
        this.probeExports ?? writeBinaryPlist({ kind: "dictionary", entries: [...values] }),
      );
  }

  #handedOver(stdin: RunOptions["stdin"]): MemoryValues {
    if (!(stdin instanceof Uint8Array)) throw new Error("NOT_BINARY");
    const { root } = readPlist(stdin, "");
    if (root.kind !== "dictionary") throw new Error("NO_DICTIONARY");
    return new Map(
      root.entries.map(([key, value]) => [key, this.transport === "exact" ? value : sent(value)]),
    );
  }
}

/** As it comes out of a message to the daemon that has dates as `xpc_date_create` takes them, and no 4-byte reals. */
function sent(value: PlistValue): PlistValue {
  switch (value.kind) {
    case "date":
      return {
        kind: "date",
        seconds: Math.trunc((value.seconds + SECONDS_TO_2001) * 1e9) / 1e9 - SECONDS_TO_2001,
      };
    case "real":
      return realOf(numberOfReal(value));
    case "array":
      return { kind: "array", items: value.items.map(sent) };
    case "dictionary":
      return { kind: "dictionary", entries: value.entries.map(([key, each]) => [key, sent(each)] as const) };
    default:
      return value;
  }
}

const SECONDS_TO_2001 = 978_307_200;
const DOMAIN = "com.plexapp.plexmediaserver";

function ended(status: number, stdout = ""): RunResult {
  return { status, signal: null, timedOut: false, stdout, stderr: "" };
}
