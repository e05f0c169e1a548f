import type { Criterion, Evidence } from "../model/event.ts";
import type { Settings } from "../model/settings.ts";
import type { UserAnswer } from "../plex/account.ts";
import type { LogFinding } from "../plex/log.ts";
import type { AccountAnswer, LibrariesAnswer } from "../plex/server.ts";

/** What the server showed: nothing that counts, with the reason, or its answers to three requests. */
export type ServerSight =
  | {
      readonly kind: "blocked";
      readonly result: "not-met" | "cannot-tell";
      readonly evidence: Evidence;
    }
  | {
      readonly kind: "seen";
      readonly url: string;
      /** `/library/sections` with the server's own token, and without any. */
      readonly authorised: LibrariesAnswer;
      readonly open: LibrariesAnswer;
      readonly account: AccountAnswer;
    };

/** The names under which the right account may show itself. */
export interface ExpectedAccount {
  /** For the evidence. */
  readonly shown: string;
  /** User name, e-mail; empty when nobody knows who it should be, and whoever it is will do. */
  readonly names: readonly string[];
}

/**
 * The account that is expected: the one named, else the one in the settings. Settings written by a container image
 * hold a token only and name nobody.
 */
export function expectedAccount(settings: Settings, named?: string): ExpectedAccount {
  const { username, mail } = settings.credentials;
  const names = (named === undefined ? [username, mail] : [named]).filter(
    (name): name is string => name !== undefined && name !== "",
  );
  return { shown: names[0] ?? "", names };
}

/**
 * `reachable`: an authorised request is answered and the same without a token is not. Where the second is answered
 * too (an allowed network, a server that is signed out), the first proves nothing; then only the account page
 * counts, which the server shows to its owner alone.
 */
export function judgeReachable(sight: ServerSight): Criterion {
  const name = "reachable";
  if (sight.kind === "blocked") return { name, result: sight.result, evidence: sight.evidence };
  const { authorised, open, account, url } = sight;
  const obstacle = obstacleIn(authorised, url) ?? silentIn(open, url);
  if (obstacle !== null) return { name, ...obstacle };
  if (authorised.kind !== "status" || authorised.count === null || open.kind !== "status")
    return unheard(name, url);
  const { count } = authorised;
  if (open.status === 401 || open.status === 403)
    return { name, result: "met", evidence: { code: "LIBRARIES_LISTED", count } };
  if (open.status !== 200)
    return { name, result: "cannot-tell", evidence: { code: "UNEXPECTED_STATUS", status: open.status } };
  if (account.kind === "status" && account.status === 200 && isSignedIn(account.signInState))
    return { name, result: "met", evidence: { code: "LIBRARIES_LISTED", count } };
  return { name, result: "not-met", evidence: { code: "OPEN_TO_EVERYBODY" } };
}

/**
 * `account`: the server says that it is signed in, as the expected account; its libraries are listed; and plex.tv
 * says that the token is good and whose it is. What the server believes is not enough: one whose token was revoked
 * may go on believing (forum 809473, 932522). Where plex.tv could not be asked, or must not be, the server's log may
 * speak for it: a line since the last start in which plex.tv accepted the token, with no refusal after it. Without
 * that line nobody can tell.
 */
export function judgeAccount(
  sight: ServerSight,
  user: UserAnswer,
  log: LogFinding,
  expected: ExpectedAccount,
): Criterion {
  const name = "account";
  if (user.kind === "revoked") return { name, result: "not-met", evidence: { code: "TOKEN_REVOKED" } };
  if (sight.kind === "blocked") return { name, result: sight.result, evidence: sight.evidence };
  const { account, authorised, url } = sight;
  const obstacle = obstacleIn(account, url) ?? obstacleIn(authorised, url);
  if (obstacle !== null) return { name, ...obstacle };
  if (account.kind !== "status" || authorised.kind !== "status") return unheard(name, url);
  if (!isSignedIn(account.signInState))
    return {
      name,
      result: "not-met",
      evidence: { code: "SIGN_IN_STATE", state: account.signInState ?? "none" },
    };
  const other = anotherAccount(account.username, user, expected);
  if (other !== null)
    return {
      name,
      result: "not-met",
      evidence: { code: "SIGNED_IN_AS_ANOTHER", username: other.username, expected: other.expected },
    };
  if (user.kind === "cannot-tell" && !(log.kind === "read" && log.verdict === "accepted"))
    return {
      name,
      result: "cannot-tell",
      evidence: { code: user.reason === "OFFLINE" ? "PLEXTV_NOT_ASKED" : "PLEXTV_UNREACHABLE" },
    };
  const username = account.username || (user.kind === "valid" ? user.username : expected.shown);
  return {
    name,
    result: "met",
    evidence: { code: "SIGNED_IN_AS", username, count: authorised.count ?? 0 },
  };
}

/** `logs`: no refusal by plex.tv since the last start that a later line does not refute. */
export function judgeLogs(log: LogFinding): Criterion {
  const name = "logs";
  const { path } = log;
  switch (log.kind) {
    case "missing":
      return { name, result: "cannot-tell", evidence: { code: "LOG_MISSING", path } };
    case "unreadable":
      return { name, result: "cannot-tell", evidence: { code: "LOG_UNREADABLE", path } };
    case "without-start":
      return { name, result: "cannot-tell", evidence: { code: "LOG_WITHOUT_START", path } };
    case "read":
      return log.firstRefusal === null
        ? { name, result: "met", evidence: { code: "LOG_CLEAN", lines: log.lines } }
        : { name, result: "not-met", evidence: { code: "LOG_SIGN_IN_ERROR", line: log.firstRefusal } };
  }
}

type Finding = Pick<Criterion, "result" | "evidence">;

function silentIn(answer: LibrariesAnswer | AccountAnswer, url: string): Finding | null {
  if (answer.kind === "silent") return { result: "not-met", evidence: { code: "NO_ANSWER", url } };
  if (answer.kind === "not-loopback")
    return { result: "cannot-tell", evidence: { code: "NOT_LOOPBACK", url } };
  if (answer.status === 503) return { result: "cannot-tell", evidence: { code: "IN_MAINTENANCE", url } };
  return null;
}

/** Why an authorised request was not answered as it should be; null when it was. */
function obstacleIn(answer: LibrariesAnswer | AccountAnswer, url: string): Finding | null {
  const silent = silentIn(answer, url);
  if (silent !== null || answer.kind !== "status") return silent;
  const { status } = answer;
  if (status === 401 || status === 403)
    return { result: "not-met", evidence: { code: "AUTHORISED_REQUEST_REFUSED", status } };
  const understood = !("count" in answer) || answer.count !== null;
  if (status === 200 && understood) return null;
  return { result: "not-met", evidence: { code: "UNEXPECTED_STATUS", status } };
}

function unheard(name: Criterion["name"], url: string): Criterion {
  return { name, result: "not-met", evidence: { code: "NO_ANSWER", url } };
}

/** `ok` when signed in, `none` when not: public samples. */
function isSignedIn(state: string | null): boolean {
  return state?.toLowerCase() === "ok";
}

/**
 * The account that is there in place of the expected one; null when it is the right one. A server shows the user
 * name, older ones the e-mail; plex.tv knows that both are one account. Case does not matter, as in signing in.
 */
function anotherAccount(
  local: string | null,
  user: UserAnswer,
  expected: ExpectedAccount,
): { readonly username: string; readonly expected: string } | null {
  const atPlexTv = user.kind === "valid" ? [user.username, user.email, user.title ?? ""] : [];
  if (expected.names.length > 0 && user.kind === "valid" && !shareName(atPlexTv, expected.names))
    return { username: user.username, expected: expected.shown };
  const right = [...atPlexTv, ...expected.names];
  if (local === null || local === "" || right.length === 0 || shareName([local], right)) return null;
  return { username: local, expected: expected.shown || (atPlexTv[0] ?? "") };
}

function shareName(some: readonly string[], others: readonly string[]): boolean {
  const known = new Set(others.filter((name) => name !== "").map(folded));
  return some.some((name) => known.has(folded(name)));
}

function folded(name: string): string {
  return name.normalize("NFC").toLowerCase();
}
