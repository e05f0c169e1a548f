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

/** The line of another command of this program, as root if we are not. */
export function ownLine(program: Program, uid: number, ...args: string[]): string {
  const words = [...(uid === 0 ? [] : ["sudo"]), ...program.command, ...args];
  return words.map(quoted).join(" ");
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
