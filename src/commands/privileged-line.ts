import { shellWord } from "../model/shell-word.ts";
import { stateDirectoryPath } from "../state/state-directory.ts";
import type { World } from "../world/world.ts";
import { looksLikeCode } from "./code-in-argument.ts";
import type { TargetOptions } from "./invocation.ts";
import { OPTIONS, twinOf } from "./options.ts";

/** How this program was called: what to type again, with more privilege. */
export interface Program {
  /** The runtime and the script, absolute. */
  readonly command: readonly string[];
  readonly args: readonly string[];
}

/**
 * The exact line that does the same as root. `sudo` drops the environment, so options that came from it are
 * handed over with `env`; a claim code in `PLEX_CLAIM` must not stand in a command line (every user of the
 * machine can read those), so it goes through standard input: `printf` is part of the shell. For the same reason
 * only variables that are options are handed over, and none that holds what looks like a code.
 */
export function privilegedLine(program: Program, env: Environment): string {
  const twins = HANDED_OVER.flatMap((name) => {
    const value = env[name];
    return value === undefined || looksLikeCode(value) ? [] : [`${name}=${value}`];
  });
  const words = ["sudo", ...(twins.length > 0 ? ["env", ...twins] : []), ...program.command, ...program.args];
  const line = words.map(shellWord).join(" ");
  const takesCode = program.args.some((word) => word === "reset" || word === "claim");
  const fromFile =
    Boolean(env[twinOf("claim-code-file")]) ||
    program.args.some((word) => word.startsWith("--claim-code-file"));
  if (!takesCode || fromFile || env["PLEX_CLAIM"] === undefined) return line;
  return `printf %s "$PLEX_CLAIM" | ${line} --claim-code-file -`;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The twins of the options, and the one setting that has no option. */
const HANDED_OVER: readonly string[] = [
  ...OPTIONS.map(({ name }) => twinOf(name)),
  "PLEX_RECLAIM_PLEXTV_URL",
];

/**
 * The line of another command of this program. It works wherever it is typed: what says where the records and the
 * server are stands in it, whether that was an option or came from the environment.
 *
 * `undo` is for the account that did the run, as whom we are here: no `sudo` (root would look into records of its
 * own), and the state directory in use. `claim` is as root if we are not. Who came by `sudo` needs it again.
 */
export function ownLine(
  { program, world }: { readonly program: Program; readonly world: Pick<World, "user" | "env"> },
  command: "claim" | "undo",
  options: Pick<TargetOptions, PlaceName>,
  argument?: string,
): string {
  const places = command === "claim" ? givenPlaces(options) : stateDirectoryInUse(world, options.stateDir);
  // Root by way of sudo: the line is typed in the shell of the person, who is not root there.
  const asRoot = world.user.uid === 0 ? world.env["SUDO_USER"] !== undefined : command === "claim";
  const sudo = asRoot ? ["sudo"] : [];
  const words = [command, ...(argument === undefined ? [] : [argument]), ...places];
  return [...sudo, ...program.command, ...words].map(shellWord).join(" ");
}

function givenPlaces(options: Pick<TargetOptions, PlaceName>): string[] {
  return PLACES.flatMap(([name, option]) => {
    const value = options[name];
    return value === undefined ? [] : [option, value];
  });
}

/** Nothing where this account would find it without being told, in this environment and in a bare one. */
function stateDirectoryInUse(world: Pick<World, "user" | "env">, given: string | undefined): string[] {
  const path = stateDirectoryPath(world, given);
  const isDefault =
    path === stateDirectoryPath(world) &&
    path === stateDirectoryPath({ user: world.user, env: {} }) &&
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
