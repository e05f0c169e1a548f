import { printable } from "../model/printable.ts";
import { ProblemError } from "../model/problem.ts";
import type { Secret } from "../model/secret.ts";
import type { NewCredentials } from "../model/settings.ts";
import { type HttpAnswer, HttpFailure, type HttpRequest, type World } from "../world/world.ts";
import { objectIn, readAnswer, stringIn } from "./answer.ts";
import { credentialsIn } from "./exchange-answer.ts";
import { httpDate } from "./instant.ts";

/** What the tool asks of plex.tv. Nothing here is sent when `offline` was asked for. */
export interface PlexTv {
  /**
   * Proves, before a code is spent, that plex.tv can be reached and that it is plex.tv and no captive portal that
   * answers. Throws `OFFLINE`, `PLEXTV_UNREACHABLE`, `PLEXTV_NONSENSE`, `PLEXTV_RATE_LIMITED`, `INTERRUPTED`.
   */
  ping(hooks?: Partial<Pick<ExchangeHooks, "onWaiting" | "signal">>): Promise<void>;
  /**
   * Exchanges a claim code for the credentials of the server with this device id, which is its
   * `ProcessedMachineIdentifier` exactly as its settings have it.
   *
   * Throws `ProblemError`, and what the hooks throw:
   * - code not spent: `OFFLINE`, `PLEXTV_UNREACHABLE` (never sent), `PLEXTV_RATE_LIMITED` (every try was answered
   *   429), `INTERRUPTED` (only before a sending, never in the middle of one);
   * - code useless: `CLAIM_CODE_REFUSED` (any other 4xx);
   * - nobody knows: `EXCHANGE_OUTCOME_UNKNOWN` (sent, no whole answer) and `PLEXTV_NONSENSE` (any other status, or
   *   success without whole credentials). After these the code must not be sent again.
   */
  exchange(code: Secret, deviceId: string, hooks: ExchangeHooks): Promise<NewCredentials>;
  /** Whose token this is. Only a 401 says that it was revoked; never throws. */
  user(token: Secret, deviceId: string): Promise<UserAnswer>;
  /** Signs a device out; whether its token is dead now. Never throws: it is a kindness, not a step. */
  signOut(token: Secret, deviceId: string): Promise<boolean>;
}

export interface ExchangeHooks {
  /** Called once, before the code leaves for the first time; nothing is sent before it has resolved. */
  onSending(): Promise<void>;
  /** plex.tv asked for patience (429). */
  onWaiting(seconds: number): void;
  /** Ends a wait, and keeps a request that has not begun from beginning. A string as its reason names the signal. */
  readonly signal?: AbortSignal;
}

export type UserAnswer =
  | { readonly kind: "valid"; readonly username: string; readonly email: string; readonly title?: string }
  | { readonly kind: "revoked" }
  /** `reason`: `OFFLINE`, `HTTP_<status>`, `NONSENSE`, or the network's own word (`ECONNREFUSED`, …). */
  | { readonly kind: "cannot-tell"; readonly reason: string };

/**
 * plex.tv over HTTP. Paths and headers: facts of the official images (`claim/exchange`), the OpenAPI 1.2.2 (`user`),
 * python-plexapi (`ping`, `users/signout`).
 */
export function plexTv(
  world: Pick<World, "http" | "clock">,
  options: {
    readonly baseUrl: string;
    readonly offline: boolean;
    /** The system that the server runs on; Linux where it is not given. */
    readonly platform?: World["platform"];
  },
): PlexTv {
  const headersOf = (deviceId: string) =>
    deviceHeaders(deviceId, PLATFORM_NAMES[options.platform ?? "linux"]);
  const base = options.baseUrl.replace(/\/+$/, "");
  const send = (request: Omit<HttpRequest, "url"> & { readonly path: string }): Promise<HttpAnswer> => {
    const { path, ...rest } = request;
    return world.http.remote({ ...rest, url: `${base}${path}` });
  };
  const refuseOffline = (): void => {
    if (options.offline) throw new ProblemError({ code: "OFFLINE" });
  };

  return {
    async ping(hooks = {}) {
      refuseOffline();
      const attempt = (): Promise<HttpAnswer> =>
        send({
          method: "GET",
          path: "/api/v2/ping",
          headers: headersOf("plex-reclaim"),
          timeoutMs: ASK_MS,
        }).catch((error: unknown) => {
          throw new ProblemError({ code: "PLEXTV_UNREACHABLE", reason: reasonOf(error) });
        });
      const answer = await patiently(world, attempt, hooks);
      if (!isPlexTv(answer)) throw new ProblemError({ code: "PLEXTV_NONSENSE", status: answer.status });
    },

    async exchange(code, deviceId, hooks) {
      refuseOffline();
      refuseInterrupted(hooks.signal);
      if (!DEVICE_ID.test(deviceId)) throw new ProblemError({ code: "INTERNAL", detail: "device-id" });
      await hooks.onSending();
      const attempt = (): Promise<HttpAnswer> =>
        // Without the signal: an answer under way may carry the only copy of the new credentials.
        send({
          method: "POST",
          path: "/api/claim/exchange",
          query: { token: code },
          headers: headersOf(deviceId),
          timeoutMs: EXCHANGE_MS,
        }).catch((error: unknown) => {
          const reason = reasonOf(error);
          const sent = !(error instanceof HttpFailure) || error.sent === "maybe";
          throw new ProblemError({ code: sent ? "EXCHANGE_OUTCOME_UNKNOWN" : "PLEXTV_UNREACHABLE", reason });
        });
      const answer = await patiently(world, attempt, hooks);
      const { status, body } = answer;
      if (status >= 400 && status < 500) throw new ProblemError({ code: "CLAIM_CODE_REFUSED", status });
      const credentials = isSuccess(status) ? credentialsIn(body) : null;
      if (credentials === null || credentials.token.reveal() === code.reveal())
        throw new ProblemError({ code: "PLEXTV_NONSENSE", status });
      return credentials;
    },

    async user(token, deviceId) {
      if (options.offline) return { kind: "cannot-tell", reason: "OFFLINE" };
      try {
        const answer = await send({
          method: "GET",
          path: "/api/v2/user",
          headers: { ...headersOf(deviceId), Accept: "application/json", "X-Plex-Token": token },
          timeoutMs: ASK_MS,
        });
        return userIn(answer);
      } catch (error) {
        return { kind: "cannot-tell", reason: reasonOf(error) };
      }
    },

    async signOut(token, deviceId) {
      if (options.offline) return false;
      try {
        const { status } = await send({
          method: "DELETE",
          path: "/api/v2/users/signout",
          headers: { ...headersOf(deviceId), "X-Plex-Token": token },
          timeoutMs: ASK_MS,
        });
        // 401: it was dead already.
        return isSuccess(status) || status === 401;
      } catch {
        return false;
      }
    },
  };
}

const ASK_MS = 10_000;
const EXCHANGE_MS = 30_000;
const TRIES = 3;
const LONGEST_WAIT_S = 60;
const WAIT_WHEN_NOT_SAID_S = [2, 8];
/** What may stand in a header; the identifier is 40 hex digits in fact. */
const DEVICE_ID = /^[\x21-\x7e]{1,256}$/;
const LONGEST_NAME = 256;

/** Linux: as the official images send it. The others: by analogy (their own servers were not watched). */
const PLATFORM_NAMES = { linux: "Linux", win32: "Windows", darwin: "MacOSX" } as const satisfies Record<
  World["platform"],
  string
>;

/** As the official images send them: plex.tv shows the device as a Plex Media Server. Source: pms-docker. */
function deviceHeaders(deviceId: string, platform: string): Readonly<Record<string, string>> {
  return {
    Accept: "application/xml",
    "X-Plex-Client-Identifier": deviceId,
    "X-Plex-Product": "Plex Media Server",
    "X-Plex-Version": "1.1",
    "X-Plex-Provides": "server",
    "X-Plex-Platform": platform,
    "X-Plex-Platform-Version": "1.0",
    "X-Plex-Device": platform,
    "X-Plex-Device-Name": "PlexMediaServer",
  };
}

/** Sends again while the answer is 429, three times and a minute of waiting at most in all. */
async function patiently(
  world: Pick<World, "clock">,
  attempt: () => Promise<HttpAnswer>,
  hooks: Partial<Pick<ExchangeHooks, "onWaiting" | "signal">>,
): Promise<HttpAnswer> {
  let waited = 0;
  for (let attempts = 1; ; attempts += 1) {
    refuseInterrupted(hooks.signal);
    const answer = await attempt();
    if (answer.status !== 429) return answer;
    const asked = retryAfterSeconds(answer, world.clock.now());
    const seconds = asked ?? WAIT_WHEN_NOT_SAID_S[attempts - 1] ?? LONGEST_WAIT_S;
    if (attempts === TRIES || waited + seconds > LONGEST_WAIT_S)
      throw new ProblemError({ code: "PLEXTV_RATE_LIMITED", seconds });
    hooks.onWaiting?.(seconds);
    await world.clock.sleep(seconds * 1000, hooks.signal);
    waited += seconds;
  }
}

/** Whole seconds, one at least; a date counts from the answer's own `Date`, so that a wrong clock here does not matter. */
function retryAfterSeconds(answer: HttpAnswer, now: number): number | null {
  const asked = answer.headers["retry-after"]?.trim() ?? "";
  if (/^\d{1,9}$/.test(asked)) return Math.max(1, Number(asked));
  const until = httpDate(asked);
  if (until === null) return null;
  const from = httpDate(answer.headers["date"] ?? "") ?? now;
  return Math.max(1, Math.ceil((until - from) / 1000));
}

function refuseInterrupted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  const name: unknown = signal.reason;
  throw new ProblemError({ code: "INTERRUPTED", signal: typeof name === "string" ? name : "SIGINT" });
}

/**
 * A captive portal redirects or shows HTML. plex.tv answers the ping with a small XML or JSON document; without a
 * token, which we do not send, perhaps with a 4xx (its form is unverified, so any that is not HTML will do).
 */
function isPlexTv(answer: HttpAnswer): boolean {
  if (readAnswer(answer.body) !== null) return isSuccess(answer.status) || isRefusal(answer.status);
  return isRefusal(answer.status) && !answer.body.includes("<");
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

function isRefusal(status: number): boolean {
  return status >= 400 && status < 500 && status !== 407;
}

/**
 * "If plex.tv cannot be reached, or … any other status code … does not indicate an invalid Access Token": the
 * OpenAPI 1.2.2, Authenticating with Plex.
 */
function userIn(answer: HttpAnswer): UserAnswer {
  if (answer.status === 401) return { kind: "revoked" };
  if (!isSuccess(answer.status)) return { kind: "cannot-tell", reason: `HTTP_${answer.status}` };
  const read = readAnswer(answer.body);
  if (read === null) return { kind: "cannot-tell", reason: "NONSENSE" };
  const of = (name: string): string | null =>
    read.format === "json"
      ? stringIn(objectIn(read.object, "user") ?? read.object, name)
      : (read.root.attributes.get(name) ?? null);
  const username = of("username");
  if (username === null) return { kind: "cannot-tell", reason: "NONSENSE" };
  const title = of("title");
  return {
    kind: "valid",
    username: printable(username, LONGEST_NAME),
    email: printable(of("email") ?? "", LONGEST_NAME),
    ...(title === null ? {} : { title: printable(title, LONGEST_NAME) }),
  };
}

/** Only a short machine word leaves here: an error's own text could quote the address, and the code with it. */
function reasonOf(error: unknown): string {
  const reason = error instanceof HttpFailure ? error.reason : "";
  return /^[A-Za-z0-9_]{1,60}$/.test(reason) ? reason : "UNKNOWN";
}
