import { execFileSync } from "node:child_process";
import { chownSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { STRANGER, sandbox, tool } from "./sandbox.ts";
import { placeSettings } from "./settings-of-test.ts";

/**
 * The server's account turned evil: it owns the folder of the settings and may do there what it likes, always
 * as itself, never as root. What it wants is `victim`, a file of root's outside.
 */
export function evilOwner(): EvilOwner {
  const folder = join(sandbox(), "data");
  const victim = join(sandbox(), "victim");
  tool("mkdir", folder);
  const settings = placeSettings(folder, STRANGER);
  writeFileSync(victim, "root's own", { mode: 0o600 });
  chownSync(victim, 0, 0);
  const asItself = (script: string, ...args: string[]): void => {
    execFileSync("/bin/sh", ["-c", script, "sh", ...args], {
      uid: STRANGER,
      gid: STRANGER,
      cwd: "/",
      env: { PATH: "/usr/bin:/bin" },
      stdio: "ignore",
    });
  };
  return {
    folder,
    settings,
    victim,
    swapForLink: (path) => asItself('mv "$1" "$1.away" && ln -s "$2" "$1"', path, victim),
    swapTemporaries: () =>
      asItself(
        'for f in "$1"/.plex-reclaim-*; do [ -f "$f" ] && [ ! -L "$f" ] && mv "$f" "$f.away" && ln -s "$2" "$f"; done; true',
        folder,
        victim,
      ),
    linkEverything: () =>
      asItself('cd "$1" && for f in .* *; do ln "$f" "$f.2"; done 2>/dev/null; true', folder),
    victimState: () => tool("stat", "--format=%u %g %a %s %h %Y", victim),
  };
}

export interface EvilOwner {
  readonly folder: string;
  readonly settings: string;
  readonly victim: string;
  /** Puts a link to the victim in the place of a file. */
  swapForLink(path: string): void;
  /** The same for every temporary file of ours that has a name at the moment. */
  swapTemporaries(): void;
  linkEverything(): void;
  /** Owner, group, mode, size, links and time of the victim. */
  victimState(): string;
}
