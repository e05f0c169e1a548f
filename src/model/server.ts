/** How a Plex Media Server came onto the machine. */
export type InstallKind =
  | "linux-package"
  | "arch-package"
  | "systemd-unit"
  | "running-process"
  | "windows-tray"
  | "windows-service"
  | "mac-application"
  | "settings-file"
  | "registry-key";

/** How its settings are kept; one file a mechanism in `stores/`. */
export type StoreKind = "xml" | "plist" | "registry" | "defaults";

/** How it is stopped and started. */
export type ServiceDescription =
  | { readonly kind: "systemd"; readonly unit: string }
  /** Windows' own service, which starts the server itself or supervises it. */
  | { readonly kind: "windows-service"; readonly name: string }
  /** The application in the notification area of a Windows desktop. */
  | { readonly kind: "tray" }
  /** The application of a Mac: asked to quit, and launched again. */
  | { readonly kind: "mac-application"; readonly application: string }
  | { readonly kind: "command"; readonly stop?: string; readonly start?: string }
  | { readonly kind: "none" };

/** A process of a server; pid and start time together name one process for ever (pids are used again). */
export interface ServerProcess {
  readonly pid: number;
  /** Linux: clock ticks since boot. Windows: milliseconds since 1601. macOS: seconds since 1970. From the kernel. */
  readonly startTicks: number;
}

/** The account a server runs under. */
export type ServerAccount =
  | { readonly name: string; readonly uid: number; readonly gid: number }
  | { readonly name: string; readonly sid: string };

/** One Plex Media Server found on this machine. Data only: it can be printed, journalled and compared. */
export interface Server {
  /** Eight hex digits: a short hash of where its settings are. */
  readonly id: string;
  readonly install: InstallKind;
  readonly store: StoreKind;
  /**
   * The settings file as it was named to us or found (it may be a symbolic link), or a registry key below
   * `HKEY_USERS`: the account's own, whoever looks.
   */
  readonly settingsPath: string;
  /** The folder `Plex Media Server` that holds logs and databases. */
  readonly dataFolder: string;
  /** Where its logs are, when that is not `Logs` in the data folder: a Mac has a place of their own. */
  readonly logFolder?: string;
  /** Where its certificate is, when that is not `Cache` in the data folder: again a Mac. */
  readonly certificateFolder?: string;
  /** The executable that must be gone after a stop, where it is known. */
  readonly executable?: string;
  /** The account the server runs under, where it is known. */
  readonly account?: ServerAccount;
  readonly service: ServiceDescription;
  /** Where it answers, without a trailing slash. */
  readonly url: string;
}

/** The number of the account a server runs under, on systems that number them. */
export function uidOf({ account }: Pick<Server, "account">): number | undefined {
  return account !== undefined && "uid" in account ? account.uid : undefined;
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
  | "UNEXPECTED_TYPE"
  | "HIVE_NOT_LOADED"
  | "PRIVACY_PROTECTED"
  | "NEEDS_PRIVILEGE"
  | "PLEXTV_NOT_ASKED"
  | "PLEXTV_UNREACHABLE";
