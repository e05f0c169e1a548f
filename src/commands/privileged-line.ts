import type { World } from "../world/world.ts";
import type { TargetOptions } from "./invocation.ts";

/** How this program was called: what to type again, with more privilege. */
export interface Program {
  /** The runtime and the script, absolute. */
  readonly command: readonly string[];
  readonly args: readonly string[];
}

/**
 * The exact line that does the same as root. `sudo` drops the environment, so options that came from it are
 * handed over with `env`; a claim code in `PLEX_CLAIM` must not stand in a command line (every user of the
 * machine can read those), so it goes through standard input: `printf` is part of the shell.
 */
export function privilegedLine(program: Program, env: Readonly<Record<string, string | undefined>>): string {
  const twins = Object.entries(env)
    .filter(([name, value]) => name.startsWith("PLEX_RECLAIM_") && value !== undefined)
    .map(([name, value]) => `${name}=${value}`);
  const words = ["sudo", ...(twins.length > 0 ? ["env", ...twins] : []), ...program.command, ...program.args];
  const line = words.map(quoted).join(" ");
  const takesCode = program.args.some((word) => word === "reset" || word === "claim");
  const fromFile = program.args.some((word) => word.startsWith("--claim-code-file"));
  if (!takesCode || fromFile || env["PLEX_CLAIM"] === undefined) return line;
  return `printf %s "$PLEX_CLAIM" | ${line} --claim-code-file -`;
}

/**
 * The line of another command of this program, as root if we are not. It works wherever it is typed: what says
 * where the records and the server are stands in it, whether that was an option or came from the environment.
 */
export function ownLine(
  { program, world }: { readonly program: Program; readonly world: Pick<World, "user"> },
  command: "claim" | "undo",
  options: Pick<TargetOptions, PlaceName>,
  argument?: string,
): string {
  const places = PLACES.filter(([name]) => command === "claim" || name === "stateDir");
  const given = places.flatMap(([name, option]) => {
    const value = options[name];
    return value === undefined ? [] : [option, value];
  });
  const words = [command, ...(argument === undefined ? [] : [argument]), ...given];
  return [...(world.user.uid === 0 ? [] : ["sudo"]), ...program.command, ...words].map(quoted).join(" ");
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

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
