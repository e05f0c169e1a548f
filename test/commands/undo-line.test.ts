import { expect, test } from "vitest";
import { ownLine } from "../../src/commands/privileged-line.ts";
import { stateDirectoryPath } from "../../src/state/state-directory.ts";

const RUN = "20261122-031500-1a2b";
const JANE = { uid: 1000, gid: 1000, name: "jane", home: "/home/jane" };
const ROOT = { uid: 0, gid: 0, name: "root", home: "/root" };
const program = { command: ["plex-reclaim"], args: [] };

function line(user: typeof JANE, env: Readonly<Record<string, string>> = {}, stateDir?: string): string {
  const options = stateDir === undefined ? {} : { stateDir };
  return ownLine({ program, world: { user, env } }, "undo", options, RUN);
}

test("the line that undoes a run is for the account that did it, and short where that finds its records", () => {
  for (const user of [JANE, ROOT]) {
    expect(line(user)).toBe(`plex-reclaim undo ${RUN}`);
    expect(line(user, {}, stateDirectoryPath({ user, env: {} }))).toBe(`plex-reclaim undo ${RUN}`);
  }
});

test("it names the records that are in use, wherever that came from", () => {
  const named = (path: string) => `plex-reclaim undo ${RUN} --state-dir ${path}`;
  expect(line(JANE, {}, "/srv/records")).toBe(named("/srv/records"));
  expect(line(ROOT, {}, "/srv/records")).toBe(named("/srv/records"));
  expect(line(JANE, { XDG_STATE_HOME: "/srv/xdg" })).toBe(named("/srv/xdg/plex-reclaim"));
});

test("it names the default, too, where something in the environment says otherwise", () => {
  const usual = stateDirectoryPath({ user: JANE, env: {} });
  const named = `plex-reclaim undo ${RUN} --state-dir ${usual}`;
  expect(line(JANE, { XDG_STATE_HOME: "/srv/xdg" }, usual)).toBe(named);
  expect(line(JANE, { PLEX_RECLAIM_STATE_DIR: "/srv/records" }, usual)).toBe(named);
});

test("who came by sudo is told to come by sudo again: their own shell is not root's", () => {
  expect(line(ROOT, { SUDO_USER: "jane" })).toBe(`sudo plex-reclaim undo ${RUN}`);
  const world = { user: ROOT, env: { SUDO_USER: "jane" } };
  expect(ownLine({ program, world }, "claim", {})).toBe("sudo plex-reclaim claim");
});
