/** A way in which plex.tv, or what lies between, fails. All but the first are seen or feared, not documented. */
export type Mode =
  | { readonly kind: "normal" }
  /** The code is refused; any status but 200 means "wrong or expired" (HAAPP). Which one: UNVERIFIED. */
  | { readonly kind: "refused"; readonly status?: number }
  /** As for a code that has outlived its four minutes. */
  | { readonly kind: "expired" }
  | { readonly kind: "server-error"; readonly status?: number }
  /** 429 with `Retry-After` (seconds or a date; null: without one). Limits of claim/exchange: UNVERIFIED. */
  | { readonly kind: "rate-limited"; readonly retryAfter: number | string | null }
  /** Takes the request and never answers; no token is issued. */
  | { readonly kind: "hang" }
  /** The token is issued, and no answer comes: the connection is cut, or stays silent. */
  | { readonly kind: "answer-lost"; readonly how?: "cut" | "silence" }
  /** Something between answers in plex.tv's place: 200 and a page, or a redirect to one. */
  | { readonly kind: "captive-portal"; readonly redirect?: boolean }
  /** The token is issued; the answer ends before its Content-Length. */
  | { readonly kind: "cut-off-body" }
  /** 200 and a user without a token; the code is spent. */
  | { readonly kind: "empty-token" }
  /** The code belongs to another account than the one in the browser (LS#234). */
  | { readonly kind: "other-account"; readonly account: string };

/** For the exchange alone, or for every address of plex.tv. */
export type ModeScope = "exchange" | "everything";

/** Scope: `exchange` when not given. Times: for the next so many requests, then normal; for good when not given. */
export interface ModeOptions {
  readonly scope?: ModeScope;
  readonly times?: number;
}

/** The mode in force, counted down as requests come in. */
export class ModeSwitch {
  #mode: Mode = { kind: "normal" };
  #scope: ModeScope = "exchange";
  #left = Number.POSITIVE_INFINITY;

  set(mode: Mode, { scope = "exchange", times = Number.POSITIVE_INFINITY }: ModeOptions = {}): void {
    this.#mode = mode;
    this.#scope = scope;
    this.#left = times;
  }

  /** The mode for one request, used up by it. */
  take(isExchange: boolean): Mode {
    if (this.#mode.kind === "normal" || this.#left <= 0) return { kind: "normal" };
    if (this.#scope === "exchange" && !isExchange) return { kind: "normal" };
    this.#left -= 1;
    return this.#mode;
  }
}

/** Reads a mode that came over the wire. Throws `NO_SUCH_MODE`. */
export function parseMode(value: unknown): Mode {
  if (typeof value === "object" && value !== null && "kind" in value && KINDS.has(String(value.kind)))
    return value as Mode;
  throw new Error("NO_SUCH_MODE");
}

/** Reads a mode's options that came over the wire; what is missing or odd counts as not given. */
export function parseModeOptions(value: unknown): ModeOptions {
  const given = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const scope: ModeScope = given["scope"] === "everything" ? "everything" : "exchange";
  return typeof given["times"] === "number" ? { scope, times: given["times"] } : { scope };
}

const KINDS: ReadonlySet<string> = new Set<Mode["kind"]>([
  "normal",
  "refused",
  "expired",
  "server-error",
  "rate-limited",
  "hang",
  "answer-lost",
  "captive-portal",
  "cut-off-body",
  "empty-token",
  "other-account",
]);
