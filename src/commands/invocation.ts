import type { Secret } from "../model/secret.ts";
import type { Language } from "../words/locale.ts";
import type { CommandName, Shell } from "./options.ts";

/** What was asked for: one command, with everything it needs, checked. Paths are absolute. */
export type Invocation =
  | { readonly kind: "help"; readonly topic: HelpTopic | null; readonly options: OutputOptions }
  | { readonly kind: "version"; readonly options: OutputOptions }
  | { readonly kind: "status"; readonly options: TargetOptions }
  | { readonly kind: "reset"; readonly options: TargetOptions & ChangeOptions & CredentialOptions }
  | { readonly kind: "claim"; readonly options: TargetOptions & ChangeOptions & CredentialOptions }
  | { readonly kind: "verify"; readonly options: TargetOptions }
  | { readonly kind: "undo"; readonly run?: string; readonly options: TargetOptions & UndoOptions }
  | { readonly kind: "backup list"; readonly options: CommonOptions }
  | { readonly kind: "backup create"; readonly options: TargetOptions }
  | { readonly kind: "backup show"; readonly id: string; readonly options: CommonOptions }
  | { readonly kind: "backup verify"; readonly id?: string; readonly options: CommonOptions }
  | { readonly kind: "backup restore"; readonly id: string; readonly options: TargetOptions & ChangeOptions }
  | { readonly kind: "backup delete"; readonly id: string; readonly options: CommonOptions & DeleteOptions }
  | { readonly kind: "demo"; readonly keep: boolean; readonly options: CommonOptions }
  | { readonly kind: "completion"; readonly shell: Shell; readonly options: OutputOptions };

/** What help can be about: a command, or the group `backup`. */
export type HelpTopic = CommandName | "backup";

/** How to say things. `noColor` is the option and its twin only; `NO_COLOR` and others are the terminal's. */
export interface OutputOptions {
  readonly json: boolean;
  readonly lang?: Language;
  readonly noColor: boolean;
  readonly accessible: boolean;
  readonly verbose: boolean;
}

export interface CommonOptions extends OutputOptions {
  readonly offline: boolean;
  /** Eight hex digits, in lower case. */
  readonly server?: string;
  readonly stateDir?: string;
  /** In place of `https://plex.tv`, for tests: on a loopback host, without a trailing slash. */
  readonly plextvUrl?: string;
}

/** Where a server is that is not found by itself. */
export interface TargetOptions extends CommonOptions {
  readonly settings?: string;
  readonly stopCommand?: string;
  readonly startCommand?: string;
  /** `http` or `https`, without a trailing slash, a query or credentials. */
  readonly serverUrl?: string;
  readonly processMatch?: string;
}

export interface DeleteOptions {
  readonly dryRun: boolean;
  readonly yes: boolean;
}

export interface ChangeOptions extends DeleteOptions {
  readonly keepStopped: boolean;
}

export interface UndoOptions extends ChangeOptions {
  readonly oldSignIn: boolean;
}

export interface CredentialOptions {
  /** `-` is the standard input. */
  readonly claimCodeFile?: string;
  /** What `PLEX_CLAIM` holds, untouched but for white space around it; `claimCodeFile` goes before it. */
  readonly claimCodeInEnvironment?: Secret;
  readonly expectAccount?: string;
}
