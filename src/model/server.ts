/** How a Plex Media Server came onto the machine. */
export type InstallKind =
  | "linux-package"
  | "arch-package"
  | "systemd-unit"
  | "running-process"
  | "settings-file";

/** How it is stopped and started. */
export type ServiceDescription =
  | { readonly kind: "systemd"; readonly unit: string }
  | { readonly kind: "command"; readonly stop?: string; readonly start?: string }
  | { readonly kind: "none" };

/** A process of a server; pid and start time together name one process for ever (pids are used again). */
export interface ServerProcess {
  readonly pid: number;
  /** Clock ticks since boot, from the kernel. */
  readonly startTicks: number;
}

/** One Plex Media Server found on this machine. Data only: it can be printed, journalled and compared. */
export interface Server {
  /** Eight hex digits: a short hash of where its settings are. */
  readonly id: string;
  readonly install: InstallKind;
  readonly store: "xml";
  /** The settings file as it was named to us or found; it may be a symbolic link. */
  readonly settingsPath: string;
  /** The folder `Plex Media Server` that holds logs and databases. */
  readonly dataFolder: string;
  /** The executable that must be gone after a stop, where it is known. */
  readonly executable?: string;
  /** The account the server runs under, where it is known. */
  readonly account?: { readonly name: string; readonly uid: number; readonly gid: number };
  readonly service: ServiceDescription;
  /** Where it answers, without a trailing slash. */
  readonly url: string;
}

/** The states of `status`. */
export type ServerState = "signed-in" | "signed-out" | "locked-out" | "identity-lost" | "unknown";

/** Why a server is said to be in its state; words under `reason.CODE`. */
export type StateReason =
  | "TOKEN_ACCEPTED"
  | "TOKEN_REVOKED"
  | "TOKEN_REFUSED_BY_SERVER"
  | "LOG_SAYS_REVOKED"
  | "NO_TOKEN"
  | "EMPTY_TOKEN"
  | "SETTINGS_EMPTY"
  | "SETTINGS_STUB"
  | "IDENTIFIERS_MISSING"
  | "SETTINGS_MALFORMED"
  | "SETTINGS_UNSAFE"
  | "SETTINGS_MISSING"
  | "SETTINGS_UNREADABLE"
  | "NEEDS_PRIVILEGE"
  | "PLEXTV_NOT_ASKED"
  | "PLEXTV_UNREACHABLE";
