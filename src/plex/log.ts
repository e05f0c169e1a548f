import { Buffer } from "node:buffer";
import { basename, dirname, join } from "node:path";
import type { Server } from "../model/server.ts";
import { type Folder, type OpenFile, SystemError, type World } from "../world/world.ts";
import { readLogLine, type Sign } from "./log-line.ts";
import { maskedLine } from "./untrusted-text.ts";

/** What the server's log says about its sign-in since the last start. */
export type LogFinding =
  | { readonly kind: "missing"; readonly path: string }
  /** Not a regular file, behind a link, or closed to this account. */
  | { readonly kind: "unreadable"; readonly path: string }
  /** No start in what was read (or none since `since`): nothing can be said about "since the last start". */
  | { readonly kind: "without-start"; readonly path: string }
  | {
      readonly kind: "read";
      readonly path: string;
      /** Lines since the start. */
      readonly lines: number;
      /** Lines in which plex.tv refused the server's token, and that no later line has refuted. */
      readonly refusals: number;
      /** The first of them, fit to be shown: tokens, addresses and identifiers cut out. */
      readonly firstRefusal: string | null;
      /**
       * `accepted`: plex.tv took the token, and nothing after speaks against it. `revoked`: 401 with a token sent.
       * `unclaimed`: 401 without one. `forbidden`: only 403, a token that is not this server's. `silent`: no word.
       */
      readonly verdict: "accepted" | "revoked" | "unclaimed" | "forbidden" | "silent";
    };

/**
 * Reads `Plex Media Server.log` in the server's log folder: `Logs` in its data folder, where it names none. A refusal
 * counts only while no later line proves that plex.tv accepted the token. `since`: milliseconds since 1970; a start
 * before it is an earlier one (a second of leeway, as old logs have no milliseconds).
 *
 * The folder belongs to the server's user and we may be root: the folder is pinned, no link is followed in its last
 * parts, only a regular file is read. At most 64 MiB from the end are read, of a line 16 KiB. Plex itself keeps to
 * about 10 MB a file, and repeats the banner at the head of each: what a start before the last change of files said
 * is not seen, but a refusal comes again every five minutes.
 */
export async function readSignInLog(
  world: Pick<World, "files">,
  server: Pick<Server, "dataFolder" | "logFolder">,
  options: { readonly since?: number } = {},
): Promise<LogFinding> {
  const folder = server.logFolder ?? join(server.dataFolder, "Logs");
  const path = join(folder, LOG_NAME);
  try {
    // The data folder itself may be reached through a link (one image does so by design); nothing below it may.
    const parent = await world.files.openFolder(await world.files.realPath(dirname(folder)));
    return await closing(parent, async () =>
      closing(await parent.openFolder(basename(folder)), (logs) => findIn(logs, path, options.since)),
    );
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return { kind: error.code === "ENOENT" ? "missing" : "unreadable", path };
  }
}

const LOG_NAME = "Plex Media Server.log";
const READ_CAP = 64 * 1024 * 1024;
const HEAD_CAP = 64 * 1024;
const CHUNK = 256 * 1024;
const LINE_CAP = 16 * 1024;
const LEEWAY_MS = 1_000;

async function closing<T extends { close(): Promise<void> }, R>(
  opened: T,
  use: (it: T) => Promise<R>,
): Promise<R> {
  try {
    return await use(opened);
  } finally {
    await opened.close();
  }
}

async function findIn(logs: Folder, path: string, since: number | undefined): Promise<LogFinding> {
  return closing(await logs.openFile(LOG_NAME, "read"), async (file) => {
    const { kind, size } = await file.stat();
    if (kind !== "file") return { kind: "unreadable", path };
    const tally = new Tally(since);
    const from = Math.max(0, size - READ_CAP);
    if (from > 0) await eachLine(file, 0, HEAD_CAP, (line) => tally.takeStart(line));
    await eachLine(file, from, size, (line) => tally.take(line));
    return tally.finding(path);
  });
}

/**
 * Calls back for each line between two positions, without its line break and cut at `LINE_CAP`; what stands before
 * the first line break of a later position than 0 is half a line and left out. The rest of a line is carried over
 * the border of each chunk.
 */
async function eachLine(
  file: OpenFile,
  from: number,
  to: number,
  take: (line: string) => void,
): Promise<void> {
  let carried: Uint8Array = new Uint8Array(0);
  let halfLine = from > 0;
  const end = (line: Uint8Array): void => {
    if (!halfLine) take(textOf(line));
    halfLine = false;
  };
  for (let position = from; position < to; ) {
    const chunk = await file.readAt(position, Math.min(CHUNK, to - position));
    if (chunk.length === 0) break;
    position += chunk.length;
    let begin = 0;
    for (let stop = chunk.indexOf(NEWLINE); stop !== -1; stop = chunk.indexOf(NEWLINE, begin)) {
      end(joined(carried, chunk.subarray(begin, stop)));
      carried = new Uint8Array(0);
      begin = stop + 1;
    }
    carried = joined(carried, chunk.subarray(begin));
  }
  if (carried.length > 0) end(carried);
}

const NEWLINE = 0x0a;

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const room = LINE_CAP - first.length;
  // A copy: the world may use its buffer again, and a chunk must not be kept alive by a few bytes of it.
  if (first.length === 0) return second.length > room ? second.slice(0, room) : second.slice();
  return room <= 0 ? first : Buffer.concat([first, second.subarray(0, room)]);
}

function textOf(line: Uint8Array): string {
  return Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString("utf8").replace(/\r$/, "");
}

/** What the lines come to. */
class Tally {
  readonly #since: number | undefined;
  #started = false;
  #lines = 0;
  #tokenPresent = true;
  #accepted = false;
  #refusals: { readonly status: 401 | 403; readonly line: string }[] = [];
  #uncounted = 0;

  constructor(since: number | undefined) {
    this.#since = since;
  }

  /** Looks at a line only for a start. */
  takeStart(line: string): void {
    const sign = readLogLine(line);
    if (sign?.kind === "start") this.#start(sign.at);
  }

  take(line: string): void {
    const sign = readLogLine(line);
    if (sign === null) return;
    this.#lines += 1;
    this.#note(sign, line);
  }

  finding(path: string): LogFinding {
    if (!this.#started) return { kind: "without-start", path };
    const first = this.#refusals[0];
    return {
      kind: "read",
      path,
      lines: this.#lines,
      refusals: this.#refusals.length + this.#uncounted,
      firstRefusal: first === undefined ? null : maskedLine(first.line),
      verdict: this.#verdict(),
    };
  }

  #note(sign: Sign, line: string): void {
    switch (sign.kind) {
      case "start":
        this.#start(sign.at);
        break;
      case "refused":
        this.#accepted = false;
        if (this.#refusals.length < KEPT_REFUSALS) this.#refusals.push({ status: sign.status, line });
        else this.#uncounted += 1;
        break;
      case "accepted":
        this.#uncounted = 0;
        this.#refusals = this.#refusals.filter((refusal) => !sign.proves.includes(refusal.status));
        this.#accepted = this.#refusals.length === 0;
        break;
      case "token":
        this.#tokenPresent = sign.present;
        break;
      case "other":
        break;
    }
  }

  #start(at: number | null): void {
    this.#started = at === null || this.#since === undefined || at >= this.#since - LEEWAY_MS;
    this.#lines = 1;
    this.#tokenPresent = true;
    this.#accepted = false;
    this.#refusals = [];
    this.#uncounted = 0;
  }

  #verdict(): "accepted" | "revoked" | "unclaimed" | "forbidden" | "silent" {
    if (this.#refusals.length === 0) return this.#accepted ? "accepted" : "silent";
    if (this.#refusals.every((refusal) => refusal.status === 403)) return "forbidden";
    return this.#tokenPresent ? "revoked" : "unclaimed";
  }
}

const KEPT_REFUSALS = 100;
