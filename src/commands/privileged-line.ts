import { shellWord } from "../model/shell-word.ts";
import { type StatePlaceWorld, stateDirectoryPath } from "../state/state-directory.ts";
import type { WindowsSystem } from "../world/windows-system.ts";
import type { World } from "../world/world.ts";
import { looksLikeCode } from "./code-in-argument.ts";
import type { TargetOptions } from "./invocation.ts";
import { type Environment, forEveryAccount } from "./option-values.ts";
import { OPTIONS, twinOf } from "./options.ts";
import { elevatedLine, typedLine, wordsForElsewhere } from "./windows-lines.ts";

/** How this program was called: what to type again, with more privilege. */
export interface Program {
  /** The runtime and the script, absolute. */
  readonly command: readonly string[];
  readonly args: readonly string[];
  /** There on Windows only: the folder that we are in. */
  readonly windows?: { readonly folder: string };
}

/**
 * The exact line that does the same as root. `sudo` drops the environment, so options that came from it are
 * handed over with `env`; a claim code in `PLEX_CLAIM` must not stand in a command line (every user of the
 * machine can read those), so it goes through standard input: `printf` is part of the shell. For the same reason
 * only variables that are options are handed over, and none that holds what looks like a code.
 *
 * On Windows it opens an administrator's window. That has no standard input of ours: a code that was in `PLEX_CLAIM`
 * is asked for there.
 * Whoever consents may be another account than ours: the line names what is ours so that it stays ours.
 */
export function privilegedLine(program: Program, { env, windows }: Pick<World, "env" | "windows">): string {
  if (program.windows !== undefined && windows !== undefined) {
    return elevated(program, env, windows, program.windows.folder);
  }
  const twins = HANDED_OVER.flatMap((name) => {
    const value = env[name];
    return value === undefined || looksLikeCode(value) ? [] : [`${name}=${value}`];
  });
  const words = ["sudo", ...(twins.length > 0 ? ["env", ...twins] : []), ...program.command, ...program.args];
  const line = words.map(shellWord).join(" ");
  return needsCodeAgain(program, env) ? `printf %s "$PLEX_CLAIM" | ${line} --claim-code-file -` : line;
}

function elevated(program: Program, env: Environment, windows: WindowsSystem, folder: string): string {
  const words = wordsForElsewhere(program.args, env, { folder, sid: windows.self.sid });
  // At a terminal, standard input is a person who is asked for it.
  const code = needsCodeAgain(program, env) ? ["--claim-code-file", "-"] : [];
  const url = env[PLEXTV_URL] ?? "";
  const settings = /^[\w:/.[\]-]+$/.test(url) ? { [PLEXTV_URL]: url } : {};
  return elevatedLine([...program.command, ...words, ...code], windows.machine.systemFolder, settings);
}

/** Whether the code is in the environment alone, which whoever acts for us will not have. */
function needsCodeAgain(program: Program, env: Environment): boolean {
  const takesCode = program.args.some((word) => word === "reset" || word === "claim");
  const fromFile =
    Boolean(env[twinOf("claim-code-file")]) ||
    program.args.some((word) => word.startsWith("--claim-code-file"));
  return takesCode && !fromFile && env["PLEX_CLAIM"] !== undefined;
}

/** The one setting that has no option. */
const PLEXTV_URL = "PLEX_RECLAIM_PLEXTV_URL";

const HANDED_OVER: readonly string[] = [...OPTIONS.map(({ name }) => twinOf(name)), PLEXTV_URL];

/**
 * The line of another command of this program. It works wherever it is typed: what says where the records and the
 * server are stands in it, whether that was an option or came from the environment.
 *
 * `undo` is for the account that did the run, as whom we are here: no `sudo` (root would look into records of its
 * own), and the state directory in use. `claim` is as root if we are not. Who came by `sudo` needs it again.
 *
 * A person's own server needs no root on a Mac, and no administrator on Windows. Who became one there by a consent
 * needs that again, for both: it is the administrators' state directory that is in use.
 */
export function ownLine(
  { program, world }: { readonly program: Program; readonly world: OwnWorld },
  command: "claim" | "undo",
  options: Pick<TargetOptions, PlaceName>,
  argument?: string,
): string {
  const places =
    command === "claim" ? givenPlaces(world, options) : stateDirectoryInUse(world, options.stateDir);
  const words = [command, ...(argument === undefined ? [] : [argument]), ...places];
  if (program.windows !== undefined && world.windows !== undefined) {
    const { self, machine } = world.windows;
    return self.elevated && self.split
      ? elevatedLine([...program.command, ...words], machine.systemFolder)
      : typedLine(program.command, words);
  }
  // Root by way of sudo: the line is typed in the shell of the person, who is not root there.
  const fromOthers = command === "claim" && world.platform !== "darwin";
  const asRoot = world.user.uid === 0 ? world.env["SUDO_USER"] !== undefined : fromOthers;
  const sudo = asRoot ? ["sudo"] : [];
  return [...sudo, ...program.command, ...words].map(shellWord).join(" ");
}

type OwnWorld = StatePlaceWorld;

function givenPlaces({ windows }: OwnWorld, options: Pick<TargetOptions, PlaceName>): string[] {
  return PLACES.flatMap(([name, option]) => {
    const value = options[name];
    if (value === undefined) return [];
    return [
      option,
      name === "settings" && windows !== undefined ? forEveryAccount(value, windows.self.sid) : value,
    ];
  });
}

/** Nothing where this account would find it without being told, in this environment and in a bare one. */
function stateDirectoryInUse(world: OwnWorld, given: string | undefined): string[] {
  const path = stateDirectoryPath(world, given);
  const isDefault =
    path === stateDirectoryPath(world) &&
    path === stateDirectoryPath({ ...world, env: {} }) &&
    !world.env[twinOf("state-dir")];
  return isDefault ? [] : ["--state-dir", path];
}

const PLACES = [
  ["stateDir", "--state-dir"],
  ["server", "--server"],
  ["settings", "--settings"],
  ["stopCommand", "--stop-command"],
  ["startCommand", "--start-command"],
  ["serverUrl", "--server-url"],
  ["processMatch", "--process-match"],
] as const satisfies readonly (readonly [keyof TargetOptions, string])[];
type PlaceName = (typeof PLACES)[number][0];
