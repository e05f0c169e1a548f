import { chmodSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ownLine } from "../../src/commands/privileged-line.ts";
import { stateDirectoryPath } from "../../src/state/state-directory.ts";
import { problemOf, scratch, stateIn, worldAt } from "./state-of-test.ts";

const JANE = { uid: 501, gid: 20, name: "jane", home: "/Users/jane" };
const ROOT = { uid: 0, gid: 0, name: "root", home: "/var/root" };
const JANES = "/Users/jane/Library/Application Support/plex-reclaim";
const ROOTS = "/Library/Application Support/plex-reclaim";
const program = { command: ["plex-reclaim"], args: [] };

test("on a Mac each account has its place, and root the machine's, whatever Linux's variables say", () => {
  for (const env of [{}, { XDG_STATE_HOME: "/srv/xdg" }, { SUDO_USER: "jane", HOME: "/Users/jane" }]) {
    expect(stateDirectoryPath({ platform: "darwin", user: JANE, env })).toBe(JANES);
    expect(stateDirectoryPath({ platform: "darwin", user: ROOT, env })).toBe(ROOTS);
  }
  expect(stateDirectoryPath({ platform: "darwin", user: JANE, env: {} }, "/srv/records")).toBe(
    "/srv/records",
  );
});

test("it is made with its parents for its owner alone, and refused when others may enter it", async () => {
  const home = scratch();
  mkdirSync(join(home, "Library"), { mode: 0o700 });
  const world = { ...worldAt(), platform: "darwin" } as const;
  const path = stateDirectoryPath({ ...world, user: { ...JANE, home } });
  await stateIn(world, path);
  for (const name of ["", "runs", "backups", "parked"])
    expect(statSync(join(path, name)).mode & 0o7777, name).toBe(0o700);
  chmodSync(path, 0o710);
  const refusal = { code: "STATE_DIRECTORY_UNUSABLE", path, reason: "mode" };
  expect(await problemOf(stateIn(world, path))).toEqual(refusal);
});

test("the lines of a Mac name no default, and need root only where root was it before", () => {
  const janes = { platform: "darwin", user: JANE, env: { XDG_STATE_HOME: "/srv/xdg" } } as const;
  expect(ownLine({ program, world: janes }, "undo", {}, "RUN")).toBe("plex-reclaim undo RUN");
  expect(ownLine({ program, world: janes }, "claim", {})).toBe("plex-reclaim claim");
  const bySudo = { platform: "darwin", user: ROOT, env: { SUDO_USER: "jane" } } as const;
  expect(ownLine({ program, world: bySudo }, "undo", {}, "RUN")).toBe("sudo plex-reclaim undo RUN");
  expect(ownLine({ program, world: bySudo }, "claim", {})).toBe("sudo plex-reclaim claim");
  const asRoot = { platform: "darwin", user: ROOT, env: {} } as const;
  expect(ownLine({ program, world: asRoot }, "claim", {})).toBe("plex-reclaim claim");
});
