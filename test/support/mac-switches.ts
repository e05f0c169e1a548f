/**
 * What is not known of a Mac for sure, both ways; and what a test may set. The tools that take a switch say, with
 * their sources, what it stands for. The defaults are the harder way, or the one with the better source.
 */
export interface MacSwitches {
  // The preference daemon.
  readonly writesFile: "later" | "soon" | "at-once";
  /** A file that was edited while its domain is in memory, unchanged. */
  readonly cleanEdit: "ignored" | "noticed";
  /** The file of a domain whose last key is deleted. */
  readonly emptyDomain: "empty-file" | "file-removed";
  readonly invalidPlist: "file-kept" | "file-removed";
  /** A domain named by the path of its file: a memory of its own, or that of the domain named by its name. */
  readonly pathDomain: "separate" | "shared";
  readonly keyOrder: "scrambled" | "sorted" | "kept";
  /** What `killall cfprefsd` does with what is not written yet. */
  readonly endOfDaemon: "writes" | "loses";
  /** Changes by a user from outside of that user's sessions: after `ssh root@…`, by `sudo -u` alone. */
  readonly outsideSession: "refused" | "works";

  // `defaults` and `plutil`.
  readonly import: "merges" | "replaces";
  /** What an imported date is in the daemon: itself, or nanoseconds since 1970 that were cut off. */
  readonly dates: "kept" | "cut-off";
  readonly exportOfAbsent: "empty" | "fails";
  readonly messages: "classic" | "macos-27";
  readonly plutilErrors: "stderr" | "stdout";
  /** Whether `xattr` reaches a file that it was handed as a descriptor. */
  readonly deviceFiles: "lead-there" | "unsupported";

  // Apple events.
  /** When `quit` comes back: ended, at once, or ended and with an error (-609). */
  readonly quit: "waits" | "returns-at-once" | "connection-breaks";
  readonly quitOfNothing: "nothing" | "starts-it" | "fails";
  /** `asked`: a dialog is open until the test sets another one. */
  readonly consent: "granted" | "denied" | "asked";
  readonly consentToSystemEvents: "granted" | "denied" | "asked";
  readonly eventsFromOutside: "reach" | "fail";
  readonly eventsOfRoot: "reach" | "fail";
  readonly outsideError: -600 | -10810;
  readonly language: "en" | "ru";

  // Starting applications.
  readonly openOfDying: "ok" | "fails";
  readonly openWhileQuitting: "refused" | "ok-but-nothing";
  readonly openByRoot: "as-root" | "as-user";
  readonly openFromOutside: "refused" | "works";
  /** How it puts a failure. */
  readonly openErrors: "number" | "error-domains";

  // The rest of the system.
  readonly noDesktop: 112 | 125;
  readonly dsclBlanks: "next-line" | "same-line";
  readonly psWidth: "79" | "unlimited";
  readonly sudo: "asks" | "free";
  /** How long launchd waits before it starts a job again. */
  readonly respawnMs: number;
  readonly version: string;
  /** Paths that privacy protection closes to everybody (full-disk access was not given). */
  readonly closed: readonly string[];

  // The server.
  /** What it puts into its domain when it ends: all that it has in memory, or what it changed. */
  readonly serverWrites: "everything" | "changes";
}

export const DEFAULT_SWITCHES: MacSwitches = {
  writesFile: "later",
  cleanEdit: "ignored",
  emptyDomain: "empty-file",
  invalidPlist: "file-kept",
  pathDomain: "separate",
  keyOrder: "scrambled",
  endOfDaemon: "writes",
  outsideSession: "refused",
  import: "merges",
  dates: "kept",
  exportOfAbsent: "empty",
  messages: "classic",
  plutilErrors: "stderr",
  deviceFiles: "lead-there",
  quit: "waits",
  quitOfNothing: "starts-it",
  consent: "granted",
  consentToSystemEvents: "granted",
  eventsFromOutside: "fail",
  eventsOfRoot: "fail",
  outsideError: -600,
  language: "en",
  openOfDying: "ok",
  openWhileQuitting: "refused",
  openByRoot: "as-root",
  openFromOutside: "refused",
  openErrors: "number",
  noDesktop: 112,
  dsclBlanks: "next-line",
  psWidth: "79",
  sudo: "asks",
  respawnMs: 200,
  version: "26.6.2",
  closed: [],
  serverWrites: "everything",
};
