import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Narration } from "../model/event.ts";
import { shellWord } from "../model/shell-word.ts";
import { createLockedOutServer, type LockedOutServer } from "../standins/locked-out-server.ts";
import { type PlexTvProcess, spawnPlexTv } from "../standins/plex-tv-process.ts";
import { type Call, runProgram } from "./run-program.ts";

export interface DemoOptions {
  readonly keep: boolean;
  /** The runtime and the script of this very program. */
  readonly command: readonly string[];
  /** Language and colour for the calls it makes. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether the output of those calls is shown. */
  readonly quiet: boolean;
  readonly interrupt: AbortSignal;
  tell(what: Narration): void;
}

/** One call of the program in the demo, and how it must end for the demo to have shown what it claims. */
export interface DemoStep {
  readonly args: readonly string[];
  readonly exitCode: number;
}

/**
 * Plays the whole story on this machine, in a folder of its own: a server whose owner signed out everywhere, the
 * lock-out, the way back in with a claim code, and a change that fails and is rolled back. Every call is the real
 * program; only the server and plex.tv are stand-ins. Ends with everything stopped and removed, unless `keep`.
 *
 * Answers the step that did not end as it should, or null when all did.
 */
export async function playDemo(options: DemoOptions): Promise<DemoStep | null> {
  const folder = await mkdtemp(join(tmpdir(), "plex-reclaim-demo-"));
  let plexTv: PlexTvProcess | null = null;
  let server: LockedOutServer | null = null;
  let kept = false;
  try {
    options.tell({ part: "begin", folder });
    plexTv = await spawnPlexTv();
    server = await createLockedOutServer(join(folder, "server"), {
      plexTv,
      decoy: true,
      state: "signed-in",
      behaviour: { startMs: 300, stopMs: 300, askEveryMs: 1_000 },
    });
    await server.start();
    const stage: Stage = {
      options,
      folder,
      plexTv,
      server,
      startCommand: await script(folder, "start-plex", server.startLine),
      stopCommand: await script(folder, "stop-plex", server.stopLine),
    };
    const failed = await story(stage);
    if (failed === null && options.keep) {
      await lockOutAgain(stage);
      await leaveInstructions(stage);
      kept = true;
    }
    if (failed !== null) options.tell({ part: "failed" });
    return failed;
  } finally {
    if (!kept) {
      await server?.remove();
      plexTv?.stop();
      await rm(folder, { recursive: true, force: true });
      options.tell({ part: "removed" });
    }
  }
}

interface Stage {
  readonly options: DemoOptions;
  readonly folder: string;
  readonly plexTv: PlexTvProcess;
  readonly server: LockedOutServer;
  /** What a person would type to start and to stop the server. */
  readonly startCommand: string;
  readonly stopCommand: string;
}

async function story(stage: Stage): Promise<DemoStep | null> {
  const { options, server } = stage;
  await server.lockOut();
  options.tell({ part: "locked-out" });
  const codeFile = join(stage.folder, "claim-code.txt");
  const heal = ["reset", "--yes", "--claim-code-file", codeFile];
  return (
    (await play(stage, { args: ["status"], exitCode: 0 })) ??
    (await play(stage, { args: ["verify"], exitCode: 6 })) ??
    (await tellThen(options, { part: "healing" }, async () => {
      await writeFile(codeFile, await stage.plexTv.issueClaimCode(server.owner.username), { mode: 0o600 });
      return play(stage, { args: heal, exitCode: 0 });
    })) ??
    (await tellThen(options, { part: "healed" }, () => play(stage, { args: ["verify"], exitCode: 0 }))) ??
    (await tellThen(options, { part: "rolling-back" }, () => failingCase(stage))) ??
    (await tellThen(options, { part: "rolled-back" }, () => play(stage, { args: ["verify"], exitCode: 0 })))
  );
}

/** The same server, with a start command that fails the first time: the run must put everything back. */
async function failingCase(stage: Stage): Promise<DemoStep | null> {
  const flag = shellWord(join(stage.folder, "failed-once"));
  const broken = `if [ ! -e ${flag} ]; then : > ${flag}; exit 1; fi\n${stage.server.startLine}`;
  const startCommand = await script(stage.folder, "start-plex-badly", broken);
  const step = { args: ["backup", "restore", await newestBackup(stage), "--yes"], exitCode: 4 };
  return play(stage, step, startCommand);
}

async function tellThen(
  options: DemoOptions,
  what: Narration,
  work: () => Promise<DemoStep | null>,
): Promise<DemoStep | null> {
  options.tell(what);
  return work();
}

/** Runs the program; answers the step when it ended with another exit code than it must. */
async function play(stage: Stage, step: DemoStep, startCommand?: string): Promise<DemoStep | null> {
  const { options } = stage;
  options.tell({ part: "command", line: `plex-reclaim ${step.args.join(" ")}` });
  const call: Call = {
    command: [...options.command, ...step.args],
    env: { ...options.env, ...settingsOf(stage, startCommand) },
    show: !options.quiet,
    interrupt: options.interrupt,
  };
  const ended = await runProgram(call);
  return ended.exitCode === step.exitCode ? null : step;
}

async function newestBackup(stage: Stage): Promise<string> {
  const ended = await runProgram({
    command: [...stage.options.command, "backup", "list", "--json"],
    env: { ...stage.options.env, ...settingsOf(stage) },
    show: false,
    interrupt: stage.options.interrupt,
  });
  const lines = ended.stdout.trim().split("\n");
  const result = JSON.parse(lines.at(-1) ?? "{}") as {
    readonly backups?: readonly { readonly id: string }[];
  };
  return result.backups?.[0]?.id ?? "";
}

/** Where the server is, as the environment twins of the options: what a person types stays short. */
function settingsOf(stage: Stage, startCommand = stage.startCommand): Record<string, string> {
  const { server, plexTv, folder } = stage;
  return {
    PLEX_RECLAIM_SETTINGS: server.settingsPath,
    PLEX_RECLAIM_SERVER_URL: server.url,
    PLEX_RECLAIM_PROCESS_MATCH: server.executable,
    PLEX_RECLAIM_STOP_COMMAND: stage.stopCommand,
    PLEX_RECLAIM_START_COMMAND: startCommand,
    PLEX_RECLAIM_STATE_DIR: join(folder, "state"),
    PLEX_RECLAIM_PLEXTV_URL: plexTv.url,
  };
}

async function lockOutAgain(stage: Stage): Promise<void> {
  await stage.server.lockOut();
}

/** Three small files in the folder of the demo: what to read into a shell, a new claim code, and the end of it. */
async function leaveInstructions(stage: Stage): Promise<void> {
  const { folder, options, plexTv, server } = stage;
  const twins = Object.entries(settingsOf(stage)).map(
    ([name, value]) => `export ${name}=${shellWord(value)}`,
  );
  const program = options.command.map(shellWord).join(" ");
  const settings = join(folder, "settings.sh");
  await writeFile(settings, `${twins.join("\n")}\nplex-reclaim() { ${program} "$@"; }\n`);
  const codeLine = await script(
    folder,
    "new-code",
    newCode(options.command[0] ?? "node", plexTv.url, server),
  );
  const endLine = await script(folder, "end", end(stage, plexTv.pid));
  options.tell({ part: "kept", line: `. ${settings}`, codeLine, endLine });
}

/** A line for a shell that prints a new claim code of the stand-in plex.tv. */
function newCode(node: string, url: string, server: LockedOutServer): string {
  const call = `fetch(process.argv[1], {method: "POST", body: JSON.stringify({username: process.argv[2]})})`;
  const program = `${call}.then((r) => r.json()).then((a) => console.log(a.value))`;
  const words = [node, "-e", program, `${url}/_standin/issueClaimCode`, server.owner.username];
  return `exec ${words.map(shellWord).join(" ")}`;
}

/** Lines for a shell that stop both stand-ins and remove the folder. */
function end(stage: Stage, plexTvPid: number): string {
  return `${stage.stopCommand}\nkill ${plexTvPid}\nsleep 1\nrm -rf ${shellWord(stage.folder)}`;
}

/** Makes a shell script in the folder of the demo; answers its path. */
async function script(folder: string, name: string, lines: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, `#!/bin/sh\n${lines}\n`, { mode: 0o755 });
  return path;
}
