import * as v from "valibot";
import { ProblemError } from "../model/problem.ts";
import type { Folder } from "../world/world.ts";
import { absentAsNull, appendLine, ensureFolder, readIfThere, release, writeDurably } from "./durable.ts";
import type { StateDirectory, StateWorld } from "./state-directory.ts";

/**
 * The written-ahead journal of one run: a line a step, durable before the step. What a crash leaves behind is
 * read from here alone. It holds no secret: hashes, names of backups, and what the server was like.
 *
 * A new kind of entry, or a new field, is allowed; old journals must stay readable for ever (fixtures hold it).
 */
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));

const ServerSchema = v.object({
  id: v.string(),
  install: v.picklist([
    "linux-package",
    "arch-package",
    "systemd-unit",
    "running-process",
    "windows-tray",
    "windows-service",
    "mac-application",
    "settings-file",
    "registry-key",
  ]),
  store: v.picklist(["xml", "plist", "registry", "defaults"]),
  settingsPath: v.string(),
  dataFolder: v.string(),
  logFolder: v.exactOptional(v.string()),
  certificateFolder: v.exactOptional(v.string()),
  executable: v.exactOptional(v.string()),
  account: v.exactOptional(
    v.union([
      v.object({ name: v.string(), uid: v.number(), gid: v.number() }),
      v.object({ name: v.string(), sid: v.string() }),
    ]),
  ),
  service: v.variant("kind", [
    v.object({ kind: v.literal("systemd"), unit: v.string() }),
    v.object({ kind: v.literal("windows-service"), name: v.string() }),
    v.object({ kind: v.literal("tray") }),
    v.object({ kind: v.literal("mac-application"), application: v.string() }),
    v.object({
      kind: v.literal("command"),
      stop: v.exactOptional(v.string()),
      start: v.exactOptional(v.string()),
    }),
    v.object({ kind: v.literal("none") }),
  ]),
  url: v.string(),
});

const EntrySchema = v.variant("kind", [
  v.object({
    kind: v.literal("begun"),
    version: v.literal(1),
    /** Milliseconds since 1970. */
    at: v.number(),
    command: v.picklist(["reset", "claim", "undo", "restore"]),
    server: ServerSchema,
    /** Whether the server ran when it was found: it ends so. */
    wasRunning: v.boolean(),
    keepStopped: v.boolean(),
    /** Whether it is to run in the end; absent in older journals: as it was found, unless kept stopped. */
    endsRunning: v.exactOptional(v.boolean()),
    /** For an undo: the run that it undoes. */
    undoes: v.exactOptional(v.string()),
  }),
  /** A claim code is about to be sent; the answer follows as `exchanged` or `not-exchanged`, or never. */
  v.object({ kind: v.literal("sending-code") }),
  v.object({ kind: v.literal("not-exchanged") }),
  /** New credentials are parked, durably. The old sign-in is dead from here on. */
  v.object({ kind: v.literal("exchanged") }),
  v.object({ kind: v.literal("stopping") }),
  v.object({ kind: v.literal("stopped") }),
  v.object({ kind: v.literal("backed-up"), backup: v.string(), sha256 }),
  v.object({
    kind: v.literal("writing"),
    from: v.nullable(sha256),
    to: sha256,
    /** What each operation of the write is to make of its value; absent where a write is all or nothing. */
    parts: v.exactOptional(v.array(v.object({ name: v.string(), to: v.nullable(sha256) }))),
  }),
  v.object({ kind: v.literal("written") }),
  v.object({ kind: v.literal("starting") }),
  v.object({ kind: v.literal("started") }),
  v.object({ kind: v.literal("putting-back") }),
  v.object({
    kind: v.literal("settled"),
    how: v.picklist(["done", "put-back", "nothing-changed"]),
  }),
  v.object({ kind: v.literal("undone"), by: v.string() }),
]);

export type Entry = v.InferOutput<typeof EntrySchema>;
export type Begun = Extract<Entry, { kind: "begun" }>;

const FILE = "journal.jsonl";

/** One run: its name, and what its journal says so far. */
export interface RunRecord {
  readonly id: string;
  readonly begun: Begun;
  readonly entries: readonly Entry[];
}

/** A journal that is being written. */
export class Journal {
  readonly id: string;
  readonly #folder: Folder;
  readonly #entries: Entry[];
  /** A line may stand there in half: the whole file is written anew before anything is added. */
  #torn = false;

  private constructor(id: string, folder: Folder, entries: Entry[]) {
    this.id = id;
    this.#folder = folder;
    this.#entries = entries;
  }

  static async begin(world: StateWorld, state: StateDirectory, begun: Omit<Begun, "at">): Promise<Journal> {
    const at = world.clock.now();
    const id = `${timeName(at)}-${world.randomHex(2)}`;
    const folder = await ensureFolder(state.runs, id);
    const journal = new Journal(id, folder, []);
    await journal.note({ ...begun, at });
    return journal;
  }

  /** Goes on writing the journal of a run that was cut off; half a last line is dropped first. */
  static async resume(state: StateDirectory, run: RunRecord): Promise<Journal> {
    const folder = await state.runs.openFolder(run.id);
    await writeDurably(folder, FILE, wholeJournal(run.entries));
    return new Journal(run.id, folder, [...run.entries]);
  }

  /** Durable when it returns. When it throws, the step has not been noted and must not be taken. */
  async note(entry: Entry): Promise<void> {
    const torn = this.#torn;
    this.#torn = true;
    if (torn) await writeDurably(this.#folder, FILE, wholeJournal([...this.#entries, entry]));
    else await appendLine(this.#folder, FILE, JSON.stringify(entry));
    this.#torn = false;
    this.#entries.push(entry);
  }

  /**
   * Notes what has happened already and cannot be taken back: it counts from here on whether or not it could be
   * written (the throw says which), and the next line brings it along.
   */
  async noteDone(entry: Entry): Promise<void> {
    try {
      await this.note(entry);
    } catch (error) {
      this.#entries.push(entry);
      throw error;
    }
  }

  get entries(): readonly Entry[] {
    return this.#entries;
  }

  async close(): Promise<void> {
    await release(() => this.#folder.close());
  }
}

/**
 * Every run that can be read, newest first; names of the others apart: one journal that cannot be understood must
 * not stand in the way of every other server. A last line that was cut off in the middle is as if it had not been
 * begun: its step had not been taken.
 */
export async function listRuns(
  state: StateDirectory,
): Promise<{ readonly runs: readonly RunRecord[]; readonly damaged: readonly string[] }> {
  const names = (await state.runs.list()).filter((name) => RUN_NAME.test(name)).sort();
  const runs: RunRecord[] = [];
  const damaged: string[] = [];
  for (const id of names.reverse()) {
    try {
      const run = await readRun(state, id);
      if (run !== null) runs.push(run);
    } catch (error) {
      if (!(error instanceof ProblemError && error.problem.code === "JOURNAL_DAMAGED")) throw error;
      damaged.push(id);
    }
  }
  // Names tell seconds only.
  return { runs: runs.sort((a, b) => b.begun.at - a.begun.at), damaged };
}

/**
 * A run by its name; null when there is none, or when not even its first line was durable. Throws
 * `JOURNAL_DAMAGED` for one that cannot be understood.
 */
export async function readRun(state: StateDirectory, id: string): Promise<RunRecord | null> {
  if (!RUN_NAME.test(id)) return null;
  const folder = await absentAsNull(state.runs.openFolder(id));
  if (folder === null) return null;
  try {
    const bytes = await readIfThere(folder, FILE);
    return bytes === null ? null : parseRun(id, `${state.path}/runs/${id}/${FILE}`, bytes);
  } finally {
    await release(() => folder.close());
  }
}

/** Marks a finished run as undone by another one. */
export async function noteUndone(state: StateDirectory, run: RunRecord, by: string): Promise<void> {
  const journal = await Journal.resume(state, run);
  try {
    await journal.note({ kind: "undone", by });
  } finally {
    await journal.close();
  }
}

export function isSettled(run: RunRecord): boolean {
  return run.entries.some((entry) => entry.kind === "settled");
}

export function has(entries: readonly Entry[], kind: Entry["kind"]): boolean {
  return entries.some((entry) => entry.kind === kind);
}

/** The last entry of a kind. */
export function last<K extends Entry["kind"]>(
  entries: readonly Entry[],
  kind: K,
): Extract<Entry, { kind: K }> | undefined {
  return entries.findLast((entry): entry is Extract<Entry, { kind: K }> => entry.kind === kind);
}

/** `20261122-031500` in UTC: names sort as time does. */
export function timeName(at: number): string {
  // biome-ignore lint/style/noRestrictedGlobals: formats a time that the World gave; reads no clock.
  return new Date(at).toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-");
}

function wholeJournal(entries: readonly Entry[]): Uint8Array {
  return new TextEncoder().encode(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
}

const RUN_NAME = /^\d{8}-\d{6}-[0-9a-f]{4}$/;

function parseRun(id: string, path: string, bytes: Uint8Array): RunRecord | null {
  const lines = new TextDecoder().decode(bytes).split("\n");
  // What stands after the last newline was cut off; a whole file ends with one.
  lines.pop();
  const entries = lines.map((line) => parseEntry(line, path));
  const [first] = entries;
  if (first === undefined) return null;
  if (first.kind !== "begun") throw new ProblemError({ code: "JOURNAL_DAMAGED", path });
  return { id, begun: first, entries };
}

function parseEntry(line: string, path: string): Entry {
  try {
    return v.parse(EntrySchema, JSON.parse(line));
  } catch (cause) {
    throw new ProblemError({ code: "JOURNAL_DAMAGED", path }, { cause });
  }
}
