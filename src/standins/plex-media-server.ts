/**
 * A stand-in for Plex Media Server, as a program. To look like the real one it is run by an executable that
 * carries its name (`place.ts`): `"…/Plex Media Server" plex-media-server.js`. Settings: `server-behaviour.ts`.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freshPreferences } from "./preferences.ts";
import { openPreferences, rewritePreferences } from "./preferences-file.ts";
import { readQuestion, send } from "./reply.ts";
import { ServerApi } from "./server-api.ts";
import { RUNNING_FILE, readBehaviour, type ServerBehaviour, startFails } from "./server-behaviour.ts";
import { ServerLog } from "./server-log.ts";
import { ServerSignIn } from "./server-sign-in.ts";

interface Places {
  readonly settings: string;
  readonly logs: string;
  readonly pid: string;
  readonly running: string;
}

nameThisProcess();
await run();

async function run(): Promise<void> {
  const supportFolder =
    process.env["PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR"] ??
    join(process.env["HOME"] ?? "/", "Library", "Application Support");
  const behaviour = readBehaviour(process.env, supportFolder);
  if (startFails(behaviour, supportFolder)) process.exit(1);

  const places = makePlaces(supportFolder);
  const preferences = openPreferences(places.settings, behaviour.version);
  if (behaviour.newIdentity)
    for (const [name, value] of freshPreferences(behaviour.version)) preferences.set(name, value);
  const log = new ServerLog(places.logs);
  log.header(behaviour.version);
  log.write("DEBUG", "MyPlex: mapping state set to 'Unknown'.");
  writeFileSync(places.pid, String(process.pid));

  const signIn = new ServerSignIn(preferences, behaviour, log);
  const api = new ServerApi(preferences, behaviour, signIn, log);
  const listener = createServer((request, response) => void serve(api, behaviour, request, response));
  onPoliteSignal(behaviour, async () => {
    listener.close();
    listener.closeAllConnections();
    await rewritePreferences(places.settings, preferences);
    for (const path of [places.pid, places.running]) rmSync(path, { force: true });
  });

  await sleep(behaviour.startMs);
  api.inMaintenance = behaviour.maintenanceMs > 0;
  listener.once("error", (error) => {
    log.write("ERROR", `HttpServer: Error binding acceptor: ${error.message}`);
    process.exit(1);
  });
  listener.listen(behaviour.port, "127.0.0.1", () => report(listener, places.running));
  void signIn.ask();
  setInterval(() => void signIn.ask(), behaviour.askEveryMs).unref();
  await sleep(behaviour.maintenanceMs);
  api.inMaintenance = false;
}

/**
 * The variable names the parent folder; the server adds its own name (UCR, DBR). `STANDIN_DATA_FOLDER` is where all
 * but the settings goes: on Windows a host keeps those in the registry, and they are a file for us alone.
 */
function makePlaces(supportFolder: string): Places {
  const settingsFolder = join(supportFolder, "Plex Media Server");
  const dataFolder = process.env["STANDIN_DATA_FOLDER"] ?? settingsFolder;
  for (const folder of [settingsFolder, dataFolder]) mkdirSync(folder, { recursive: true });
  return {
    settings: join(settingsFolder, "Preferences.xml"),
    logs: join(dataFolder, "Logs"),
    pid: join(dataFolder, "plexmediaserver.pid"),
    running: join(supportFolder, RUNNING_FILE),
  };
}

/** Node calls its main thread something else, and that is what the kernel shows as the short name. */
function nameThisProcess(): void {
  if (process.platform === "linux") writeFileSync("/proc/self/comm", "Plex Media Serv");
}

/**
 * Ends the process with status 0 after a polite signal, once: first the stop takes its time, with the port still
 * answering, then it tidies up. SIGQUIT is NixOS's (KillSignal of its unit).
 */
function onPoliteSignal(behaviour: ServerBehaviour, tidyUp: () => Promise<void>): void {
  let stopping = false;
  const stop = async () => {
    if (stopping || behaviour.ignoreTerm) return;
    stopping = true;
    await sleep(behaviour.stopMs);
    await tidyUp();
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) process.on(signal, () => void stop());
}

/** Tells whoever started it where it listens: a JSON line, and the same in a file (a service has no reader). */
function report(listener: Server, path: string): void {
  const address = listener.address();
  const port = typeof address === "object" ? address?.port : null;
  const running = JSON.stringify({ pid: process.pid, port });
  writeFileSync(path, running);
  // Nobody may be reading.
  process.stdout.on("error", () => undefined);
  process.stdout.write(`${running}\n`);
}

async function serve(
  api: ServerApi,
  behaviour: ServerBehaviour,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const question = await readQuestion(request);
    await sleep(behaviour.answerMs);
    if (question === null) response.writeHead(400).end();
    else send(response, await api.answer(question));
  } catch {
    // The caller went away in the middle.
    response.destroy();
  }
}
