import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** How the stand-in server behaves; times in milliseconds. */
export interface ServerBehaviour {
  /** 0: any free one. */
  readonly port: number;
  /** A loopback URL without a trailing slash, or "" for a plex.tv that cannot be reached. */
  readonly plexTvUrl: string;
  readonly version: string;
  /** From the start of the process until the port is open. */
  readonly startMs: number;
  /** From then on, how long everything is answered by 503. */
  readonly maintenanceMs: number;
  /** From the signal until the settings are rewritten. */
  readonly stopMs: number;
  /** Added to every answer. */
  readonly answerMs: number;
  /** How many starts fail with exit 1 at once: a number, counted in `standin-failed-starts`, or all. */
  readonly failStart: number | "always";
  /** SIGTERM, SIGINT and SIGQUIT have no effect. */
  readonly ignoreTerm: boolean;
  /** Drops the four values at each start, as if they had never been written. */
  readonly forgetSignIn: boolean;
  /** Makes itself a new identity at each start. */
  readonly newIdentity: boolean;
  /** Claimed, and everything with the right token answered by 403 (F-403). */
  readonly forbidden: boolean;
  /** Callers count as coming from another subnet: a server in a bridged container (CI#24, CI#25). */
  readonly foreign: boolean;
  /** How often it asks plex.tv unasked; five minutes in the real one (LS#420). */
  readonly askEveryMs: number;
}

/** The file beside the data folder that overrides the environment; read at each start. */
export const BEHAVIOUR_FILE = "standin.json";

/** In the same folder: `{"pid":…,"port":…}` of the process that listens. */
export const RUNNING_FILE = "standin-running.json";

/** Reads the behaviour: `STANDIN_…` of the environment, then the file. Throws for values it cannot use. */
export function readBehaviour(
  env: Readonly<Record<string, string | undefined>>,
  supportFolder: string,
): ServerBehaviour {
  const file = readFile(join(supportFolder, BEHAVIOUR_FILE));
  const value = (key: keyof ServerBehaviour): unknown => file[key] ?? env[VARIABLES[key]];
  const number = (key: keyof ServerBehaviour, other: number) => {
    const result = Number(value(key) ?? other);
    if (!Number.isFinite(result) || result < 0) throw new Error("BAD_BEHAVIOUR");
    return result;
  };
  const flag = (key: keyof ServerBehaviour) => ["1", "true"].includes(String(value(key)));
  return {
    port: number("port", 32400),
    plexTvUrl: loopback(String(value("plexTvUrl") ?? "")),
    version: String(value("version") ?? "1.43.4.10903-e5521bd8c"),
    startMs: number("startMs", 0),
    maintenanceMs: number("maintenanceMs", 0),
    stopMs: number("stopMs", 0),
    answerMs: number("answerMs", 0),
    failStart: value("failStart") === "always" ? "always" : number("failStart", 0),
    ignoreTerm: flag("ignoreTerm"),
    forgetSignIn: flag("forgetSignIn"),
    newIdentity: flag("newIdentity"),
    forbidden: flag("forbidden"),
    foreign: flag("foreign"),
    askEveryMs: number("askEveryMs", 300_000),
  };
}

/** Whether this start is to fail; counts it. */
export function startFails(behaviour: ServerBehaviour, supportFolder: string): boolean {
  if (behaviour.failStart === "always") return true;
  const path = join(supportFolder, FAILED_STARTS_FILE);
  const failed = existsSync(path) ? Number(readFileSync(path, "utf8")) : 0;
  if (failed >= behaviour.failStart) return false;
  writeFileSync(path, String(failed + 1));
  return true;
}

/** Remove it to let as many starts fail again. */
export const FAILED_STARTS_FILE = "standin-failed-starts";

const VARIABLES: Readonly<Record<keyof ServerBehaviour, string>> = {
  port: "STANDIN_PORT",
  plexTvUrl: "STANDIN_PLEXTV_URL",
  version: "STANDIN_VERSION",
  startMs: "STANDIN_START_MS",
  maintenanceMs: "STANDIN_MAINTENANCE_MS",
  stopMs: "STANDIN_STOP_MS",
  answerMs: "STANDIN_ANSWER_MS",
  failStart: "STANDIN_FAIL_START",
  ignoreTerm: "STANDIN_IGNORE_TERM",
  forgetSignIn: "STANDIN_FORGET_SIGN_IN",
  newIdentity: "STANDIN_NEW_IDENTITY",
  forbidden: "STANDIN_FORBIDDEN",
  foreign: "STANDIN_FOREIGN",
  askEveryMs: "STANDIN_ASK_EVERY_MS",
};

function readFile(path: string): Readonly<Record<string, unknown>> {
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>) : {};
}

/** The real plex.tv must never hear of a stand-in. */
function loopback(url: string): string {
  if (url !== "" && !["127.0.0.1", "localhost", "[::1]"].includes(new URL(url).hostname))
    throw new Error("PLEXTV_URL_NOT_LOOPBACK");
  return url.replace(/\/$/, "");
}
