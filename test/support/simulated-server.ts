import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach } from "vitest";
import { backupCreate, backupRestore } from "../../src/commands/backup.ts";
import { reset } from "../../src/commands/reset.ts";
import { status } from "../../src/commands/status.ts";
import { undo } from "../../src/commands/undo.ts";
import type { Event, Result } from "../../src/model/event.ts";
import { parsePreferences } from "../../src/stores/preferences-xml.ts";
import type { World } from "../../src/world/world.ts";
import { type AllOptions, optionsFor, recordedSession } from "./recorded-session.ts";
import { homeInRegistry } from "./simulated-registry-home.ts";
import { DEVICE_ID, OLD_TOKEN, PREFERENCES, SimulatedMachine } from "./simulated-world.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** One command on the simulated machine, as a script runs it. */
export interface Ran {
  readonly result: Result;
  readonly code: string;
  readonly notes: readonly string[];
  readonly events: readonly Event[];
}

/** In a world that is not quite the machine's, and with somebody who interrupts. */
interface On {
  readonly world: World;
  readonly interrupt: AbortSignal;
}

type Given = Partial<AllOptions> & { readonly code?: string };

/** A running server on a simulated machine, and the commands as one types them (with `--yes`). */
export class SimulatedServer {
  readonly machine: SimulatedMachine;

  constructor(state: "locked-out" | "signed-in" = "locked-out", system: "linux" | "windows" = "linux") {
    const folder = mkdtempSync(join(tmpdir(), "plex-reclaim-simulated-"));
    folders.push(folder);
    const home = system === "windows" ? homeInRegistry : undefined;
    this.machine = new SimulatedMachine(folder, PREFERENCES, home);
    if (state === "signed-in") this.machine.valid.set(OLD_TOKEN, "jane");
    this.machine.start();
  }

  reset(given: Given = {}, questions: Partial<Questions> = {}, on: Partial<On> = {}): Promise<Ran> {
    return this.#run("reset", given, questions, (session, options) => reset(session, "reset", options), on);
  }

  backUp(given: Given = {}): Promise<Ran> {
    return this.#run("backup create", given, {}, (session, options) => backupCreate(session, options));
  }

  claim(given: Given = {}): Promise<Ran> {
    return this.#run("claim", given, {}, (session, options) => reset(session, "claim", options));
  }

  undo(run?: string, given: Given & { oldSignIn?: boolean } = {}): Promise<Ran> {
    return this.#run("undo", given, {}, (session, options) =>
      undo(session, run, { oldSignIn: false, ...options }),
    );
  }

  restore(id: string, given: Given = {}): Promise<Ran> {
    return this.#run("backup restore", given, {}, (session, options) => backupRestore(session, id, options));
  }

  status(given: Given = {}): Promise<Ran> {
    return this.#run("status", given, {}, (session, options) => status(session, options));
  }

  get token(): string | null {
    const { credentials } = parsePreferences(Buffer.from(this.machine.preferences), "");
    return credentials.token?.reveal() ?? null;
  }

  get parkedToken(): string | null {
    try {
      const path = join(this.machine.folder, "state", "parked", `${DEVICE_ID}.json`);
      return (JSON.parse(readFileSync(path, "utf8")) as { token: string }).token;
    } catch {
      return null;
    }
  }

  get backups(): string[] {
    return readdirSync(join(this.machine.folder, "state", "backups")).sort();
  }

  /** As if the process had died right after this line of a run's journal was durable. */
  cutOff(run: string | undefined, after: string): void {
    const path = join(this.machine.folder, "state", "runs", run ?? "", "journal.jsonl");
    const lines = readFileSync(path, "utf8").trim().split("\n");
    const index = lines.findIndex((line) => (JSON.parse(line) as { kind: string }).kind === after);
    writeFileSync(path, `${lines.slice(0, index + 1).join("\n")}\n`);
  }

  /** The names of the values that a run's write was made of, in their order. */
  partsOf(run: string | undefined): string[] {
    const path = join(this.machine.folder, "state", "runs", run ?? "", "journal.jsonl");
    const lines = readFileSync(path, "utf8").trim().split("\n");
    const entries = lines.map((line) => JSON.parse(line) as { kind: string; parts?: { name: string }[] });
    return entries.find(({ kind }) => kind === "writing")?.parts?.map(({ name }) => name) ?? [];
  }

  async #run(
    command: string,
    given: Given,
    questions: Partial<Questions>,
    work: (session: Session, options: AllOptions) => ReturnType<typeof reset>,
    on: Partial<On> = {},
  ): Promise<Ran> {
    const { code, ...more } = given;
    const { session, end, events } = recordedSession(on.world ?? this.machine.world, on.interrupt);
    const asking = { ...session, questions: { ...session.questions, ...questions } };
    const options = { ...optionsFor(this.machine, code === undefined ? {} : { code }), ...more };
    const result = await end(command, () => work(asking, options));
    const notes = events.flatMap((event) => (event.type === "note" ? [event.note.code] : []));
    const { outcome } = result;
    return { result, code: outcome.ok ? outcome.code : outcome.problem.code, notes, events };
  }
}

type Session = ReturnType<typeof recordedSession>["session"];
type Questions = Session["questions"];
