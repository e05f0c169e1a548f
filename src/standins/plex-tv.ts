import { realpathSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { answer, EXCHANGE_PATH, type Outcome } from "./plex-tv-answers.ts";
import { CONTROL_PREFIX, obey, type PlexTvControl, type SeenRequest } from "./plex-tv-control.ts";
import { type Mode, type ModeOptions, ModeSwitch } from "./plex-tv-mode.ts";
import { type Account, fingerprint, PlexTvRecords } from "./plex-tv-records.ts";
import { json, plexHeader, type Question, readQuestion, send } from "./reply.ts";

export interface PlexTvOptions {
  /** Any free one when not given. */
  readonly port?: number;
}

/** Starts a plex.tv of our own on a loopback address. */
export async function startPlexTv(options: PlexTvOptions = {}): Promise<PlexTv> {
  const plexTv = new PlexTv(options.port ?? 0);
  await plexTv.up();
  return plexTv;
}

/**
 * A stand-in for plex.tv: claim codes, sign-ins, pins, resources (sources with each answer), and the ways in
 * which all that fails. Loopback only, plain HTTP.
 */
export class PlexTv implements PlexTvControl {
  readonly #records = new PlexTvRecords();
  readonly #mode = new ModeSwitch();
  #requests: SeenRequest[] = [];
  #server: Server | null = null;
  #port: number;
  #reopening: NodeJS.Timeout | undefined;

  constructor(port: number) {
    this.#port = port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Opens the listener; the same port as before, if there was one. */
  async up(): Promise<void> {
    clearTimeout(this.#reopening);
    if (this.#server !== null) return;
    const server = createServer((request, response) => void this.#serve(request, response));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#port, "127.0.0.1", resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Closes the listener and cuts every connection: from now on they are refused. What it knows stays. */
  async down(): Promise<void> {
    clearTimeout(this.#reopening);
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  async downFor(ms: number): Promise<void> {
    await this.down();
    this.#reopening = setTimeout(() => void this.up(), ms);
  }

  /** Ends it for good. */
  async close(): Promise<void> {
    await this.down();
  }

  async addAccount(username: string, email: string): Promise<Account> {
    return this.#records.addAccount(username, email);
  }

  async issueClaimCode(username: string): Promise<string> {
    return this.#records.issueClaimCode(username);
  }

  async issueServerToken(username: string, device: string): Promise<string> {
    return this.#records.issueServerToken(username, device).token;
  }

  async issueUserToken(username: string, device: string): Promise<string> {
    return this.#records.issueUserToken(username, device).token;
  }

  async isTokenValid(token: string): Promise<boolean> {
    return this.#records.signInOf(token) !== undefined;
  }

  async revokeAll(username: string): Promise<void> {
    this.#records.revokeAll(username);
  }

  async linkPin(code: string, username: string): Promise<void> {
    this.#records.linkPin(code, username);
  }

  async setMode(mode: Mode, options: ModeOptions = {}): Promise<void> {
    if (mode.kind === "other-account") this.#records.account(mode.account);
    this.#mode.set(mode, options);
  }

  async advanceClock(ms: number): Promise<void> {
    this.#records.advanceClock(ms);
  }

  async requests(): Promise<SeenRequest[]> {
    return [...this.#requests];
  }

  async forgetRequests(): Promise<void> {
    this.#requests = [];
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const question = await readQuestion(request);
      if (question === null) send(response, json(400, {}));
      else if (question.path.startsWith(CONTROL_PREFIX)) await this.#control(question, response);
      else this.#answer(question, response);
    } catch {
      // The caller went away in the middle.
      response.destroy();
    }
  }

  async #control(question: Question, response: ServerResponse): Promise<void> {
    const name = question.path.slice(CONTROL_PREFIX.length);
    try {
      const args = JSON.parse(question.body === "" ? "{}" : question.body) as Record<string, unknown>;
      // Whoever asks for that gets an answer before the connection is cut.
      if (name === "downFor") response.once("finish", () => void this.downFor(Number(args["ms"])));
      const value = name === "downFor" ? null : await obey(this, name, args);
      send(response, json(200, { value }));
    } catch (error) {
      send(response, json(400, { error: error instanceof Error ? error.message : "CONTROL_FAILED" }));
    }
  }

  #answer(question: Question, response: ServerResponse): void {
    const isExchange = question.method === "POST" && question.path === EXCHANGE_PATH;
    const outcome = answer(this.#records, this.#mode.take(isExchange), question);
    this.#requests.push(seen(question, outcome));
    switch (outcome.kind) {
      case "reply":
        send(response, outcome.reply);
        return;
      case "cut-off": {
        const { body, headers, status } = outcome.reply;
        response.writeHead(status, { ...headers, "content-length": String(Buffer.byteLength(body)) });
        response.write(body.slice(0, body.length / 2), () => response.destroy());
        return;
      }
      case "cut":
        response.destroy();
        return;
      case "silence":
        return;
    }
  }
}

function seen(question: Question, outcome: Outcome): SeenRequest {
  const token = plexHeader(question, "x-plex-token");
  const code = question.path.startsWith("/api/claim/") ? (question.query.get("token") ?? "") : "";
  return {
    method: question.method,
    path: question.path,
    device: plexHeader(question, "x-plex-client-identifier"),
    token: token === "" ? null : fingerprint(token),
    claimCode: code === "" ? null : fingerprint(code),
    status: outcome.kind === "reply" ? outcome.reply.status : null,
  };
}

/** As a program: one JSON line with its URL on standard output, then it serves until it is ended. */
async function runAsProgram(): Promise<void> {
  const plexTv = await startPlexTv({ port: Number(process.env["STANDIN_PORT"] ?? 0) });
  process.stdout.write(`${JSON.stringify({ url: plexTv.url, pid: process.pid })}\n`);
}

const started = process.argv[1];
if (started !== undefined && isThisFile(started)) await runAsProgram();

function isThisFile(path: string): boolean {
  try {
    return realpathSync(path) === fileURLToPath(import.meta.url);
  } catch {
    return false;
  }
}
