import { Secret } from "../model/secret.ts";
import { HttpFailure, type HttpRequest } from "./world.ts";

/** A request as it goes out: secrets are in clear here, so it must not be shown, logged or thrown. */
export interface Outgoing {
  readonly url: URL;
  readonly method: HttpRequest["method"];
  readonly headers: Record<string, string>;
  readonly holdsSecret: boolean;
}

/** @throws HttpFailure `INVALID_URL` (nothing sent) for a URL that is none, or not of http or https. */
export function outgoing(request: HttpRequest): Outgoing {
  const url = parsed(request.url);
  const query = Object.entries(request.query ?? {});
  const headers = Object.entries(request.headers);
  const pairs = query.map(
    ([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(clear(value))}`,
  );
  url.search = [url.search.slice(1), ...pairs].filter((part) => part !== "").join("&");
  return {
    url,
    method: request.method,
    headers: Object.fromEntries(headers.map(([name, value]) => [name, clear(value)])),
    holdsSecret: [...query, ...headers].some(([, value]) => value instanceof Secret),
  };
}

/** How far an exchange has come: what a failure has to tell. */
export interface Progress {
  sent: boolean;
  answering: boolean;
}

/** The end of an exchange from outside: its deadline, or its caller's signal. */
export interface Deadline {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Rejects when the exchange is ended from outside. */
  readonly ended: Promise<never>;
  /** What ended it, or null while nothing did. */
  reason(): "TIMEOUT" | "ABORTED" | null;
  stop(): void;
}

export function startDeadline(request: HttpRequest): Deadline {
  const controller = new AbortController();
  let reason: "TIMEOUT" | "ABORTED" | null = null;
  const end = (why: "TIMEOUT" | "ABORTED") => {
    reason ??= why;
    controller.abort();
  };
  const abort = () => end("ABORTED");
  const timer = setTimeout(() => end("TIMEOUT"), request.timeoutMs);
  request.signal?.addEventListener("abort", abort);
  if (request.signal?.aborted) abort();
  const { signal } = controller;
  const ended = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason));
  });
  ended.catch(ignore);
  return {
    timeoutMs: request.timeoutMs,
    signal,
    ended,
    reason: () => reason,
    stop: () => {
      clearTimeout(timer);
      request.signal?.removeEventListener("abort", abort);
    },
  };
}

/** Collects a body; past 1 MiB it fails with `TOO_LARGE`. */
export class Body {
  readonly #chunks: Uint8Array[] = [];
  #room = BODY_CAP_BYTES;

  add(chunk: Uint8Array): void {
    this.#room -= chunk.length;
    if (this.#room < 0) throw new HttpFailure("maybe", "TOO_LARGE");
    this.#chunks.push(chunk);
  }

  text(): string {
    return Buffer.concat(this.#chunks).toString("utf8");
  }
}

/** Names in lower case, several values of one name in one line. */
export function flatHeaders(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name.toLowerCase(), typeof value === "string" ? value : value.join(", ")]],
    ),
  );
}

/**
 * Any failure of an exchange as data. Only the code of the error is kept, neither its text nor the error as a
 * cause: both may hold the address with the claim code in it.
 */
export function failure(error: unknown, progress: Progress, deadline: Deadline): HttpFailure {
  if (error instanceof HttpFailure) return error;
  const sent = progress.sent ? "maybe" : "no";
  const ended = deadline.reason();
  if (ended !== null) return new HttpFailure(sent, ended);
  const code = codeOf(error);
  if (TIMEOUTS.has(code)) return new HttpFailure(sent, "TIMEOUT");
  if (progress.answering) return new HttpFailure("maybe", "CUT_OFF");
  return new HttpFailure(sent, RENAMED.get(code) ?? code);
}

const BODY_CAP_BYTES = 1024 * 1024;
const TIMEOUTS = new Set([
  "ETIMEDOUT",
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_HEADERS_TIMEOUT",
  "UND_ERR_BODY_TIMEOUT",
]);
const RENAMED = new Map([
  // The other side closed without an answer; node:http calls this a reset, too.
  ["UND_ERR_SOCKET", "ECONNRESET"],
  // Our own abort is told by the deadline; what is left is a proxy that would not open the tunnel.
  ["UND_ERR_ABORTED", "PROXY_REFUSED"],
  ["UND_ERR_PRX_TLS", "PROXY_CERTIFICATE"],
]);

function parsed(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== "http:" && url?.protocol !== "https:") throw new HttpFailure("no", "INVALID_URL");
  return url;
}

function clear(value: string | Secret): string {
  return value instanceof Secret ? value.reveal() : value;
}

/** The first machine word on the way down through an error, its causes and its parts. */
function codeOf(error: unknown, depth = 0): string {
  if (typeof error !== "object" || error === null || depth > 4) return "UNKNOWN";
  const { name, code, cause, errors } = error as Record<"name" | "code" | "cause" | "errors", unknown>;
  // llhttp's errors: node:http gives them a code, undici a name only.
  if (name === "HTTPParserError" || (typeof code === "string" && code.startsWith("HPE_"))) return "NOT_HTTP";
  if (typeof code === "string" && /^[A-Z][A-Z0-9_]*$/.test(code)) return code;
  const inner = Array.isArray(errors) && errors.length > 0 ? errors[0] : cause;
  return codeOf(inner, depth + 1);
}

function ignore(): void {
  // Who waits for it hears of it.
}
