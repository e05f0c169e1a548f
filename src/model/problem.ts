/**
 * Everything that can go wrong, as data. The sentences for each code are in the catalogues (`words/`), under
 * `problem.CODE.what`, `.why` and `.do`; the data fields are their placeholders.
 */
export type Problem =
  // Wrong usage: exit 2.
  | { readonly code: "NO_COMMAND" }
  | { readonly code: "UNKNOWN_COMMAND"; readonly given: string; readonly nearest: string }
  | { readonly code: "UNKNOWN_OPTION"; readonly option: string; readonly nearest: string }
  | { readonly code: "MISSING_VALUE"; readonly option: string }
  | { readonly code: "BAD_VALUE"; readonly option: string; readonly allowed: string }
  | { readonly code: "MISSING_ARGUMENT"; readonly argument: string; readonly command: string }
  | { readonly code: "EXCESS_ARGUMENT"; readonly command: string }
  | { readonly code: "CODE_IN_ARGUMENT" }
  | { readonly code: "PLEXTV_URL_NOT_LOOPBACK" }
  // Refused before anything was changed: exit 3.
  | { readonly code: "NO_TERMINAL"; readonly option: string }
  | { readonly code: "DECLINED" }
  | { readonly code: "NO_SERVER" }
  | { readonly code: "SEVERAL_SERVERS"; readonly ids: readonly string[] }
  | { readonly code: "SERVER_NOT_FOUND"; readonly id: string; readonly ids: readonly string[] }
  | { readonly code: "NEEDS_PRIVILEGE"; readonly path: string; readonly line: string }
  | { readonly code: "UNSUPPORTED_PLATFORM"; readonly platform: string }
  | { readonly code: "DEMO_NOT_HERE"; readonly platform: string }
  /** The package with the native calls was not installed along, or does not fit this Node. */
  | { readonly code: "NATIVE_PART_MISSING"; readonly part: string; readonly reason: string }
  | { readonly code: "NOT_LOCKED_OUT" }
  | { readonly code: "LOCKED_OUT_NEEDS_RESET" }
  | { readonly code: "IDENTITY_LOST"; readonly path: string; readonly reason: IdentityLostReason }
  | { readonly code: "SETTINGS_MALFORMED"; readonly path: string; readonly reason: MalformedReason }
  | { readonly code: "SETTINGS_MISSING"; readonly path: string }
  | { readonly code: "SETTINGS_UNSAFE"; readonly path: string; readonly reason: UnsafeReason }
  | { readonly code: "SETTINGS_NOT_WRITABLE"; readonly path: string; readonly reason: UnwritableReason }
  | { readonly code: "STATE_DIRECTORY_UNUSABLE"; readonly path: string; readonly reason: string }
  | { readonly code: "RUN_IN_PROGRESS" }
  /** A value of the four (or of the identity) is of another type than Plex keeps it as: never touched. */
  | {
      readonly code: "UNEXPECTED_TYPE";
      readonly path: string;
      readonly name: string;
      readonly type: string;
    }
  /** A registry file wants something else than values of the one key; `wants` is its line. */
  | {
      readonly code: "REGISTRY_FILE_REFUSED";
      readonly path: string;
      readonly line: number;
      readonly wants: string;
    }
  | { readonly code: "HIVE_UNAVAILABLE"; readonly path: string; readonly reason: string }
  | { readonly code: "OTHER_SESSION"; readonly pid: number; readonly account: string }
  | { readonly code: "NO_DESKTOP_TO_START_ON"; readonly account: string; readonly line: string }
  | { readonly code: "NO_WAY_TO_STOP"; readonly reason: "no-service" | "no-start-command" }
  /** Our session is none of the desktop that the server lives on (SSH). `line`: the same with a way there. */
  | { readonly code: "DESKTOP_OUT_OF_REACH"; readonly account: string; readonly line: string }
  /** Privacy protection of macOS closes it, to root too. */
  | { readonly code: "PRIVACY_PROTECTED"; readonly path: string }
  /** It lies where a Mac keeps the live settings of an account, and which one that is nobody tells. */
  | { readonly code: "SETTINGS_OWNER_UNKNOWN"; readonly path: string }
  /** The system was not allowed to hand over the request to quit, or nobody answered its question. */
  | { readonly code: "AUTOMATION_REFUSED"; readonly application: string }
  /** launchd starts it again after every end. `line` unloads that job, `backLine` loads it again. */
  | {
      readonly code: "KEPT_ALIVE_BY_AGENT";
      readonly label: string;
      readonly line: string;
      readonly backLine: string;
    }
  | { readonly code: "OFFLINE" }
  | { readonly code: "PLEXTV_UNREACHABLE"; readonly reason: string }
  | { readonly code: "PLEXTV_RATE_LIMITED"; readonly seconds: number }
  | { readonly code: "PLEXTV_NONSENSE"; readonly status: number }
  | { readonly code: "CLAIM_CODE_REFUSED"; readonly status: number }
  | { readonly code: "CLAIM_CODE_MALFORMED"; readonly source: ClaimCodeSource }
  | { readonly code: "CLAIM_CODE_UNREADABLE"; readonly path: string; readonly reason: string }
  | { readonly code: "CLAIM_CODE_ALREADY_SENT" }
  | { readonly code: "CREDENTIALS_NOT_KEPT" }
  | { readonly code: "EXCHANGE_OUTCOME_UNKNOWN"; readonly reason: string }
  | { readonly code: "BACKUP_NOT_FOUND"; readonly id: string }
  | { readonly code: "BACKUP_DAMAGED"; readonly id: string; readonly reason: string }
  | { readonly code: "BACKUP_OF_ANOTHER_SERVER"; readonly id: string }
  | { readonly code: "RUN_NOT_FOUND"; readonly id: string }
  | { readonly code: "JOURNAL_DAMAGED"; readonly path: string }
  // Failed on the way: exit 4 or 5, by what could be put back.
  | { readonly code: "STOP_FAILED"; readonly command: string; readonly detail: string }
  | { readonly code: "STOP_TIMEOUT"; readonly seconds: number; readonly killed: "yes" | "no" }
  /** `line`: shows those processes. */
  | { readonly code: "STILL_RUNNING"; readonly pids: string; readonly line: string }
  | { readonly code: "STILL_ANSWERING"; readonly url: string }
  /** `line`: shows what keeps that process. */
  | { readonly code: "RESTARTED_BY_ITSELF"; readonly pid: number; readonly line: string }
  | { readonly code: "PLAN_CHANGED"; readonly names: string }
  | { readonly code: "SETTINGS_CHANGED_MEANWHILE"; readonly path: string }
  | { readonly code: "BACKUP_FAILED"; readonly path: string; readonly reason: string }
  | { readonly code: "WRITE_FAILED"; readonly path: string; readonly reason: string }
  | { readonly code: "REGISTRY_WRITE_FAILED"; readonly path: string; readonly reason: string }
  | { readonly code: "DOMAIN_WRITE_FAILED"; readonly path: string; readonly reason: string }
  | { readonly code: "METADATA_NOT_KEPT"; readonly path: string; readonly what: string }
  | { readonly code: "START_FAILED"; readonly command: string; readonly detail: string }
  | { readonly code: "START_TIMEOUT"; readonly seconds: number; readonly url: string }
  | { readonly code: "RUN_NOT_SETTLED"; readonly run: string }
  | { readonly code: "IDENTITY_CHANGED"; readonly url: string }
  /** `kept`: the new sign-in is of the server's own account, has replaced the old one, and stays parked. */
  | {
      readonly code: "WRONG_ACCOUNT";
      readonly expected: string;
      readonly signedOut: "yes" | "no";
      readonly kept: "yes" | "no";
    }
  | {
      readonly code: "SYSTEM_CALL_FAILED";
      readonly what: string;
      readonly path: string;
      readonly reason: string;
    }
  // `verify` found the server not usable, or the change is done and it is not: exit 6.
  | { readonly code: "CRITERIA_NOT_MET" }
  | { readonly code: "NOT_USABLE" }
  | { readonly code: "STILL_STARTING"; readonly url: string }
  // Interrupted: exit 130.
  | { readonly code: "INTERRUPTED"; readonly signal: string }
  // A bug: exit 1.
  | { readonly code: "DEMO_FAILED"; readonly step: string }
  | { readonly code: "INTERNAL"; readonly detail: string };

export type ProblemCode = Problem["code"];

/** Why settings count as having lost the server's identity: a restore helps, a reset does not. */
export type IdentityLostReason = "empty" | "stub" | "identifiers-missing";

/** Why settings are refused as malformed. Nothing is ever repaired by guessing. */
export type MalformedReason =
  | "too-large"
  | "not-utf8"
  | "utf16"
  | "truncated"
  | "doctype"
  | "duplicate-attribute"
  | "duplicate-value"
  | "no-registry-file"
  | "wrong-root"
  | "several-roots"
  | "nested-elements"
  | "syntax"
  | "second-opinion";

/** Why a settings file is refused before it is read or written: it may be somebody's trap. */
export type UnsafeReason =
  | "hard-link"
  | "foreign-owner"
  | "not-regular"
  | "link-target"
  | "single-file-mount"
  /** On a Mac, for root: its folder or one above it is another account's, or one in which others may write. */
  | "folder-not-roots";

export type UnwritableReason = "no-space" | "read-only" | "immutable" | "denied";

export type ClaimCodeSource = "file" | "stdin" | "environment" | "prompt";

/** What state the server was left in. Every problem that reaches a person says one of these. */
export type Aftermath =
  | { readonly kind: "nothing-changed" }
  /** As found, but for new credentials, which are never thrown away: written, or parked for the next run. */
  | { readonly kind: "put-back"; readonly credentials: "none" | "written" | "parked" }
  | { readonly kind: "not-put-back"; readonly byHand: readonly ByHand[] }
  | { readonly kind: "changed" };

/** One thing for a person to do, as data: a command line, a backup to copy to its place, or one to double-click. */
export type ByHand =
  | { readonly do: "start"; readonly line: string }
  /** No line is known that starts it. */
  | { readonly do: "start-as-usual" }
  | { readonly do: "copy"; readonly from: string; readonly to: string }
  | { readonly do: "import"; readonly from: string; readonly to: string }
  | { readonly do: "undo"; readonly line: string };

/** What a run had come to when it failed; reported with the problem. */
export interface RunFacts {
  readonly server: string;
  readonly run: string;
  readonly backup?: string;
}

export class ProblemError extends Error {
  readonly problem: Problem;
  readonly aftermath: Aftermath;
  readonly facts: RunFacts | undefined;

  constructor(problem: Problem, options: { aftermath?: Aftermath; cause?: unknown; facts?: RunFacts } = {}) {
    super(problem.code, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "ProblemError";
    this.problem = problem;
    this.aftermath = options.aftermath ?? { kind: "nothing-changed" };
    this.facts = options.facts;
  }
}

const USAGE: ReadonlySet<ProblemCode> = new Set([
  "NO_COMMAND",
  "UNKNOWN_COMMAND",
  "UNKNOWN_OPTION",
  "MISSING_VALUE",
  "BAD_VALUE",
  "MISSING_ARGUMENT",
  "EXCESS_ARGUMENT",
  "CODE_IN_ARGUMENT",
  "PLEXTV_URL_NOT_LOOPBACK",
]);

const NOT_USABLE: ReadonlySet<ProblemCode> = new Set(["CRITERIA_NOT_MET", "NOT_USABLE", "STILL_STARTING"]);

export type ExitCode = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 130;

/**
 * The exit code of a problem, by what became of the server: usage 2, a bug 1, nothing changed 3, put back 4,
 * not put back 5, changed but not usable 6; an interruption is 130 unless something could not be put back.
 * `WRONG_ACCOUNT` is 4 although nothing was written: a device was made at plex.tv.
 */
export function exitCodeOf(problem: Problem, aftermath: Aftermath): ExitCode {
  if (problem.code === "INTERNAL" || problem.code === "DEMO_FAILED") return 1;
  if (USAGE.has(problem.code)) return 2;
  if (aftermath.kind === "not-put-back") return 5;
  if (problem.code === "INTERRUPTED") return 130;
  if (NOT_USABLE.has(problem.code)) return 6;
  if (problem.code === "WRONG_ACCOUNT") return 4;
  switch (aftermath.kind) {
    case "nothing-changed":
      return 3;
    case "put-back":
      return 4;
    case "changed":
      return 6;
  }
}
