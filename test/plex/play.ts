import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { expect, onTestFinished } from "vitest";
import { type Problem, ProblemError } from "../../src/model/problem.ts";
import { Secret } from "../../src/model/secret.ts";
import type { Settings } from "../../src/model/settings.ts";
import { realFiles } from "../../src/world/files.ts";
import { realHttp } from "../../src/world/http.ts";
import type { Clock, HttpRequest, World } from "../../src/world/world.ts";

export const DEVICE = "0123456789abcdef0123456789abcdef01234567";
export const CODE = "claim-AbCdEfGhIjKlMnOpQrSt";
export const TOKEN = "tok3n_of-the-server_";

export interface TestClock extends Clock {
  /** Every sleep, in milliseconds. */
  readonly slept: number[];
}

/** A clock on which a sleep is over at once, and time is the sum of the sleeps. */
export function testClock(startMs = 1_800_000_000_000): TestClock {
  const slept: number[] = [];
  const passed = () => slept.reduce((sum, ms) => sum + ms, 0);
  return {
    slept,
    now: () => startMs + passed(),
    monotonicMs: passed,
    sleep: async (ms) => {
      slept.push(ms);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

export type TestWorld = Pick<World, "http" | "files"> & { readonly clock: TestClock };

/** The real network and files, with a clock that costs nothing; requests may be given shorter deadlines. */
export function testWorld(longestMs = 60_000): TestWorld {
  const http = realHttp({});
  const bounded = (request: HttpRequest): HttpRequest => ({
    ...request,
    timeoutMs: Math.min(request.timeoutMs, longestMs),
  });
  return {
    clock: testClock(),
    files: realFiles(),
    http: {
      local: (request) => http.local(bounded(request)),
      remote: (request) => http.remote(bounded(request)),
    },
  };
}

export interface Played {
  readonly url: string;
  /** `METHOD path` of each request, without the query. */
  readonly asked: string[];
  readonly requests: IncomingMessage[];
}

/** A server of the running test's own on a loopback address. */
export async function playServer(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Played> {
  const asked: string[] = [];
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${new URL(request.url ?? "/", "http://x").pathname}`);
    requests.push(request);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, requests };
}

/** An address of this machine at which nobody listens. */
export async function silentUrl(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

/** The problem that a promise fails with; fails for anything but a `ProblemError`, and for one that shows a secret. */
export async function problemOf(promise: Promise<unknown>, ...secrets: string[]): Promise<Problem> {
  const error = await promise.then(
    () => expect.unreachable("it did not fail"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ProblemError);
  const shown = everythingIn(error);
  for (const secret of [CODE, TOKEN, ...secrets]) expect(shown).not.toContain(secret);
  return (error as ProblemError).problem;
}

/** All that an error could show anywhere: its text, stack, data and causes. */
export function everythingIn(error: unknown): string {
  return `${inspect(error, { depth: 9, showHidden: true })} ${JSON.stringify(error)} ${String(error)}`;
}

export function exchangeXml(token: string, username = "jane", mail = "jane@example.com"): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<user><id>1</id><username>${username}</username><email>${mail}</email><authentication-token>${token}</authentication-token></user>`;
}

export function settingsOf(credentials: { token?: string; username?: string; mail?: string }): Settings {
  const { token, ...rest } = credentials;
  return {
    credentials: { ...rest, ...(token === undefined ? {} : { token: new Secret(token) }) },
    identity: {
      machineIdentifier: "00000000-0000-4000-8000-000000000000",
      processedMachineIdentifier: DEVICE,
    },
  };
}

/** A data folder of the running test's own, with a log of these lines if any are given. */
export function dataFolder(lines?: readonly string[]): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "plex-reclaim-plex-")));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, "Logs"));
  if (lines !== undefined) writeFileSync(logPath(folder), `${lines.join("\n")}\n`);
  return folder;
}

export function logPath(folder: string): string {
  return join(folder, "Logs", "Plex Media Server.log");
}

const AT = "Nov 22, 2026 10:00:00.000 [140000000000000]";
const FEATURES = "https://plex.tv/api/v2/server/users/features";

export const LINES = {
  start: `${AT} INFO - Plex Media Server v1.43.4.10903-e5521bd8c - x64 - build: linux-x86_64 debian - GMT -06:00`,
  other: `${AT} DEBUG - Request: [127.0.0.1:5000 (Loopback)] GET /identity (2 live) Signed-in`,
  features401: `${AT} DEBUG - [HttpClient/HCl#25] HTTP/1.1 (0.0s) 401 response from GET ${FEATURES} (reused)`,
  features403: `${AT} DEBUG - [HttpClient/HCl#25] HTTP/1.1 (0.0s) 403 response from GET ${FEATURES} (reused)`,
  features200: `${AT} DEBUG - [HttpClient/HCl#26] HTTP/1.1 (0.1s) 200 response from GET ${FEATURES} (reused)`,
  error401: `${AT} ERROR - MyPlex: Error 401 requesting JSON from: ${FEATURES}`,
  published: `${AT} DEBUG - MyPlex: Published Mapping State response was 201`,
  withoutToken: `${AT} DEBUG - [HttpClient/HCl#24] HTTP/1.1 (0.0s) 200 response from GET https://plex.tv/api/v2/features?X-Plex-Token=`,
  withToken: `${AT} DEBUG - [HttpClient/HCl#24] HTTP/1.1 (0.0s) 401 response from GET https://plex.tv/api/v2/features?X-Plex-Token=xxxxxxxxxxxxxxxxxxxx (reused)`,
} as const;
