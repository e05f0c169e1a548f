import { type Mode, type ModeOptions, parseMode, parseModeOptions } from "./plex-tv-mode.ts";
import type { Account } from "./plex-tv-records.ts";

/** One request that plex.tv got; secrets only as fingerprints. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  /** X-Plex-Client-Identifier, or "". */
  readonly device: string;
  readonly token: string | null;
  readonly claimCode: string | null;
  /** Null when no whole answer was given. */
  readonly status: number | null;
}

/**
 * What a test or the demo does to the stand-in plex.tv: the same in its own process and over HTTP. Accounts
 * are named by their user names. Rejects with the code of the mistake (`NO_SUCH_ACCOUNT`, …).
 */
export interface PlexTvControl {
  /** Without a trailing slash. */
  readonly url: string;
  addAccount(username: string, email: string): Promise<Account>;
  issueClaimCode(username: string): Promise<string>;
  /** A server's sign-in without an exchange; the token. */
  issueServerToken(username: string, device: string): Promise<string>;
  /** A sign-in of something else, such as a browser; the token. */
  issueUserToken(username: string, device: string): Promise<string>;
  /** Whether plex.tv would accept it now. */
  isTokenValid(token: string): Promise<boolean>;
  /** "Sign out everywhere": every token of the account dies. */
  revokeAll(username: string): Promise<void>;
  /** Types a pin's code in at plex.tv/link, as this account. */
  linkPin(code: string, username: string): Promise<void>;
  setMode(mode: Mode, options?: ModeOptions): Promise<void>;
  advanceClock(ms: number): Promise<void>;
  /** All requests so far, in order; those of the control are not among them. */
  requests(): Promise<SeenRequest[]>;
  forgetRequests(): Promise<void>;
  /** Closes the listener, so that connections are refused; the same port opens again after so many ms. */
  downFor(ms: number): Promise<void>;
}

/** The control of a stand-in plex.tv that runs in another process, through its `/_standin/` addresses. */
export function connectPlexTv(url: string): PlexTvControl {
  const call = async <T>(name: string, args: Readonly<Record<string, unknown>> = {}): Promise<T> => {
    const response = await fetch(`${url}${CONTROL_PREFIX}${name}`, {
      method: "POST",
      body: JSON.stringify(args),
      signal: AbortSignal.timeout(CONTROL_DEADLINE_MS),
    });
    const answer = (await response.json()) as { readonly value?: T; readonly error?: string };
    if (!response.ok) throw new Error(answer.error ?? "CONTROL_FAILED");
    return answer.value as T;
  };
  return {
    url,
    addAccount: (username, email) => call("addAccount", { username, email }),
    issueClaimCode: (username) => call("issueClaimCode", { username }),
    issueServerToken: (username, device) => call("issueServerToken", { username, device }),
    issueUserToken: (username, device) => call("issueUserToken", { username, device }),
    isTokenValid: (token) => call("isTokenValid", { token }),
    revokeAll: (username) => call("revokeAll", { username }),
    linkPin: (code, username) => call("linkPin", { code, username }),
    setMode: (mode, options = {}) => call("setMode", { mode, options }),
    advanceClock: (ms) => call("advanceClock", { ms }),
    requests: () => call("requests"),
    forgetRequests: () => call("forgetRequests"),
    downFor: (ms) => call("downFor", { ms }),
  };
}

export const CONTROL_PREFIX = "/_standin/";

const CONTROL_DEADLINE_MS = 10_000;

/** Carries out a control call that came over HTTP. Rejects with the code of the mistake. */
export async function obey(
  control: PlexTvControl,
  name: string,
  args: Readonly<Record<string, unknown>>,
): Promise<unknown> {
  const text = (key: string) => String(args[key] ?? "");
  switch (name) {
    case "addAccount":
      return control.addAccount(text("username"), text("email"));
    case "issueClaimCode":
      return control.issueClaimCode(text("username"));
    case "issueServerToken":
      return control.issueServerToken(text("username"), text("device"));
    case "issueUserToken":
      return control.issueUserToken(text("username"), text("device"));
    case "isTokenValid":
      return control.isTokenValid(text("token"));
    case "revokeAll":
      return control.revokeAll(text("username"));
    case "linkPin":
      return control.linkPin(text("code"), text("username"));
    case "setMode":
      return control.setMode(parseMode(args["mode"]), parseModeOptions(args["options"]));
    case "advanceClock":
      return control.advanceClock(Number(args["ms"]));
    case "requests":
      return control.requests();
    case "forgetRequests":
      return control.forgetRequests();
    default:
      throw new Error("NO_SUCH_CONTROL");
  }
}
