import type { Aftermath, ExitCode, Problem } from "./problem.ts";
import type { ServerState, StateReason } from "./server.ts";
import type { CredentialName } from "./settings.ts";

/** The steps of the path, in their order. */
export const STEPS = [
  "detect",
  "preflight",
  "settle",
  "obtain",
  "stop",
  "back-up",
  "edit",
  "start",
  "verify",
  "roll-back",
] as const;
export type Step = (typeof STEPS)[number];

/** The three acceptance criteria of the contract. */
export type CriterionName = "reachable" | "account" | "logs";
export interface Criterion {
  readonly name: CriterionName;
  readonly result: "met" | "not-met" | "cannot-tell";
  /** What was seen, as coded data; words under `evidence.CODE`. */
  readonly evidence: Evidence;
}

export type Evidence =
  | { readonly code: "LIBRARIES_LISTED"; readonly count: number }
  | { readonly code: "AUTHORISED_REQUEST_REFUSED"; readonly status: number }
  | { readonly code: "NO_ANSWER"; readonly url: string }
  | { readonly code: "IN_MAINTENANCE"; readonly url: string }
  | { readonly code: "ANOTHER_SERVER_ANSWERS"; readonly url: string }
  | { readonly code: "UNEXPECTED_STATUS"; readonly status: number }
  | { readonly code: "OPEN_TO_EVERYBODY" }
  | { readonly code: "NOT_LOOPBACK"; readonly url: string }
  | { readonly code: "NO_TOKEN" }
  | { readonly code: "NOT_RUNNING" }
  | { readonly code: "SIGNED_IN_AS"; readonly username: string; readonly count: number }
  | { readonly code: "SIGNED_IN_AS_ANOTHER"; readonly username: string; readonly expected: string }
  | { readonly code: "SIGN_IN_STATE"; readonly state: string }
  | { readonly code: "TOKEN_REVOKED" }
  | { readonly code: "PLEXTV_UNREACHABLE" }
  | { readonly code: "PLEXTV_NOT_ASKED" }
  | { readonly code: "LOG_CLEAN"; readonly lines: number }
  | { readonly code: "LOG_SIGN_IN_ERROR"; readonly line: string }
  | { readonly code: "LOG_MISSING"; readonly path: string }
  | { readonly code: "LOG_UNREADABLE"; readonly path: string }
  | { readonly code: "LOG_WITHOUT_START"; readonly path: string };

/** The plan as it is shown and accepted; what is applied is this, or nothing. */
export interface PlanView {
  readonly command: "reset" | "claim" | "undo" | "restore";
  readonly server: string;
  readonly settingsPath: string;
  readonly change: "remove" | "replace" | "restore";
  /** Which of the four values stand in the settings now. */
  readonly present: readonly CredentialName[];
  readonly stopLine: string | null;
  readonly startLine: string | null;
  readonly backupFolder: string;
  /** For `undo` and `restore`: the backup that comes back. */
  readonly backup?: string;
  /** The backup is older than the last exchange: its sign-in is dead. */
  readonly deadSignIn?: boolean;
  /** For `undo` after an exchange: the sign-in of now stays, the backup's would be dead. */
  readonly keepsSignIn?: boolean;
  /** For `undo` and `restore`: how many settings outside the four differ from the backup. */
  readonly otherDifferences?: number;
}

/** A way to sign a signed-out server in again, on this host. */
export type SignInWay =
  | { readonly way: "claim-command"; readonly line: string }
  | { readonly way: "local-browser"; readonly url: string }
  /** The local page claims a server only before this version; which one runs here is not known. */
  | { readonly way: "local-browser-before"; readonly url: string; readonly version: string }
  /** What the server itself keeps for it in its data folder (Windows, macOS); how it does it is not documented. */
  | { readonly way: "claim-url-file"; readonly path: string }
  | { readonly way: "setup-page"; readonly path: string }
  | { readonly way: "ssh-tunnel"; readonly line: string; readonly url: string };

/** Something worth knowing that is not a failure; words under `note.CODE`. */
export type Note =
  | { readonly code: "CLAIM_CODE_FROM_ENVIRONMENT" }
  | { readonly code: "CLAIM_CODE_FILE_READABLE_BY_OTHERS"; readonly path: string }
  | { readonly code: "CREDENTIALS_OBTAINED"; readonly username: string }
  | { readonly code: "CREDENTIALS_FROM_PARKED"; readonly username: string }
  | { readonly code: "CLAIM_CODE_NOT_NEEDED" }
  | { readonly code: "OWNER_CHANGES"; readonly from: string; readonly to: string }
  | { readonly code: "UNSETTLED_RUN"; readonly run: string; readonly step: string }
  | { readonly code: "PARKED_CREDENTIALS"; readonly server: string }
  | { readonly code: "RUN_SETTLED"; readonly run: string; readonly how: "forward" | "back" | "nothing" }
  | { readonly code: "KILLED_BY_MANAGER"; readonly unit: string }
  | { readonly code: "STOP_STILL_QUEUED"; readonly unit: string }
  /** The new sign-in may not be on the disk yet; its parked copy stays. */
  | { readonly code: "PARKED_KEPT_FOR_NOW" }
  /** No process of it is seen, but somebody answers as the server whose settings were named: it, or the original. */
  | { readonly code: "SAME_SERVER_ANSWERS"; readonly url: string }
  | { readonly code: "PORT_TAKEN_BY_ANOTHER"; readonly url: string }
  | { readonly code: "FOUND_STOPPED"; readonly line: string }
  | { readonly code: "KEPT_STOPPED"; readonly line: string }
  | { readonly code: "FILE_ONLY"; readonly path: string }
  | { readonly code: "ALREADY_SIGNED_OUT" }
  | { readonly code: "ALREADY_SIGNED_IN" }
  | { readonly code: "ALREADY_UNDONE"; readonly run: string }
  | { readonly code: "NO_RUN_TO_UNDO" }
  | { readonly code: "WAITING_FOR_PLEXTV"; readonly seconds: number }
  | { readonly code: "OLD_SIGN_IN_IS_DEAD" }
  | { readonly code: "METADATA_UNCHECKED"; readonly path: string }
  | { readonly code: "START_LIMIT_RESET"; readonly unit: string }
  | { readonly code: "ROLL_BACK_PROBLEM"; readonly problem: Problem }
  | { readonly code: "BACKUP_UNREADABLE"; readonly id: string }
  | { readonly code: "PARKED_CREDENTIALS_DEAD" }
  | { readonly code: "EXCHANGE_UNANSWERED" }
  | { readonly code: "IDENTITY_RETURNS" }
  | { readonly code: "RUN_UNREADABLE"; readonly run: string }
  | { readonly code: "BACKUPS_TIDIED"; readonly count: number }
  | { readonly code: "DRY_RUN" }
  | { readonly code: "INTERRUPT_SEEN" }
  /** The registry decides; what this file is for, nobody has documented. */
  | { readonly code: "STRAY_PREFERENCES"; readonly path: string }
  | { readonly code: "DATA_FOLDER_REDIRECTED"; readonly path: string; readonly how: "link" | "onedrive" }
  | { readonly code: "UPDATER_RUNS"; readonly service: string }
  /** It ran with an administrator's full rights, and is started without them. */
  | { readonly code: "STARTED_WITHOUT_ELEVATION" }
  /** macOS may ask now whether we may send requests to it, and waits for the answer. */
  | { readonly code: "CONSENT_MAY_BE_ASKED"; readonly application: string }
  | { readonly code: "SETTINGS_LINK_FOLLOWED"; readonly path: string; readonly target: string }
  | { readonly code: "SERVER_UNREADABLE"; readonly path: string; readonly line: string };

/** One server as `status` reports it. */
export interface ServerReport {
  readonly id: string;
  readonly state: ServerState;
  readonly reason: StateReason;
  readonly running: boolean | "unknown";
  readonly settings: string;
  readonly dataFolder: string;
  readonly logFolder: string;
  readonly certificateFolder: string;
  readonly install: string;
  readonly service: string;
  /** The account whose server it is, on systems where each has its own settings: Windows and macOS. */
  readonly runsAs?: string;
  /** User name as the settings have it; null when signed out. */
  readonly account: string | null;
  readonly friendlyName: string | null;
  /** For `NEEDS_PRIVILEGE`: the exact line to type. */
  readonly line?: string;
  /** For malformed or unsafe settings: the coded reason. */
  readonly detail?: string;
}

/** One backup as `backup list` reports it. */
export interface BackupReport {
  readonly id: string;
  readonly server: string;
  readonly settings: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  readonly run: string | null;
  readonly sizeBytes: number;
  readonly signIn: "present" | "absent";
  /** Whether a later exchange has made its sign-in worthless. */
  readonly deadSignIn: boolean;
  readonly folder: string;
}

/** The one stream that the terminal, `--json` and (later) the page render. */
export type Event =
  | { readonly type: "step"; readonly step: Step; readonly phase: "begin" | "end" }
  | { readonly type: "plan"; readonly plan: PlanView }
  | { readonly type: "note"; readonly note: Note }
  | { readonly type: "criterion"; readonly criterion: Criterion }
  | ({ readonly type: "demo" } & Narration);

/** What the demo says between its calls; words under `demo.PART`. */
export type Narration =
  | { readonly part: "begin"; readonly folder: string }
  | { readonly part: "command"; readonly line: string }
  | { readonly part: "kept"; readonly line: string; readonly codeLine: string; readonly endLine: string }
  | {
      readonly part:
        | "locked-out"
        | "healing"
        | "healed"
        | "rolling-back"
        | "rolled-back"
        | "removed"
        | "failed";
    };

/** Success codes that say more than `OK`. */
export type SuccessCode =
  | "OK"
  | "SIGNED_OUT"
  | "NOTHING_TO_DO"
  | "DRY_RUN"
  | "EDITED_WHILE_STOPPED"
  | "FILE_EDITED";

/** How a command ended. Rendered last. */
export interface Result {
  readonly command: string;
  readonly exitCode: ExitCode;
  readonly outcome:
    | { readonly ok: true; readonly code: SuccessCode }
    | { readonly ok: false; readonly problem: Problem; readonly aftermath: Aftermath };
  /** Everything a command has to report; absent fields do not apply to it. */
  readonly data: ResultData;
}

export interface ResultData {
  readonly servers?: readonly ServerReport[];
  readonly server?: string;
  readonly run?: string;
  readonly backup?: string;
  readonly criteria?: readonly Criterion[];
  readonly ownerChanged?: boolean;
  readonly signInWays?: readonly SignInWay[];
  readonly backups?: readonly BackupReport[];
  readonly undoLine?: string;
}
