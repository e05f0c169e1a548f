import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import {
  closeStateDirectory,
  existingStateDirectory,
  openStateDirectory,
  stateDirectoryPath,
} from "../../src/state/state-directory.ts";
import { faultFor, watchedWorld } from "../support/faulty-world.ts";
import { problemOf, scratch, stateIn, worldAt } from "./state-of-test.ts";

const world = worldAt();

test("it is made with all its parents, for its owner alone, even without a umask", async () => {
  const before = process.umask(0);
  onTestFinished(() => void process.umask(before));
  const folder = scratch();
  const path = join(folder, "a", "b", "state");
  await stateIn(world, path);
  const made = ["a", "a/b", "a/b/state", "a/b/state/runs", "a/b/state/backups", "a/b/state/parked"];
  for (const name of made) expect(statSync(join(folder, name)).mode & 0o7777, name).toBe(0o700);
  expect(readdirSync(path).sort()).toEqual(["backups", "parked", "runs"]);
});

test("one that is there is used as it is", async () => {
  const path = join(scratch(), "state");
  await stateIn(world, path);
  writeFileSync(join(path, "runs", "mine"), "");
  const state = await stateIn(world, `${path}/`);
  expect(await state.runs.list()).toEqual(["mine"]);
});

test("two programs that make it at the same moment both get it", async () => {
  const path = join(scratch(), "a", "state");
  const [one, other] = await Promise.all([stateIn(world, path), stateIn(world, path)]);
  expect((await one.parked.stat()).ino).toBe((await other.parked.stat()).ino);
});

test("a parent that is a link is followed, for so are some distributions made", async () => {
  const folder = scratch();
  mkdirSync(join(folder, "real"));
  symlinkSync("real", join(folder, "linked"));
  await stateIn(world, join(folder, "linked", "state"));
  expect(existsSync(join(folder, "real", "state", "runs"))).toBe(true);
});

test.each(["open", "existing"] as const)("one of another owner is refused (%s)", async (how) => {
  const path = join(scratch(), "state");
  await stateIn(world, path);
  const somebodyElse = { ...world, user: { ...world.user, uid: world.user.uid + 1 } };
  const opened =
    how === "open" ? openStateDirectory(somebodyElse, path) : existingStateDirectory(somebodyElse, path);
  expect(await problemOf(opened)).toEqual({ code: "STATE_DIRECTORY_UNUSABLE", path, reason: "owner" });
});

test.each([0o701, 0o702, 0o704, 0o710, 0o720, 0o740, 0o755, 0o777, 0o1777])(
  "one with mode %o is refused, whoever made it",
  async (mode) => {
    const path = join(scratch(), "state");
    mkdirSync(path);
    chmodSync(path, mode);
    const refusal = { code: "STATE_DIRECTORY_UNUSABLE", path, reason: "mode" };
    expect(await problemOf(openStateDirectory(world, path))).toEqual(refusal);
    expect(await problemOf(existingStateDirectory(world, path))).toEqual(refusal);
    expect(readdirSync(path)).toEqual([]);
  },
);

test("a link in its place, or in that of a part of it, is refused", async () => {
  const folder = scratch();
  await stateIn(world, join(folder, "real"));
  symlinkSync(join(folder, "real"), join(folder, "linked"));
  const problem = await problemOf(openStateDirectory(world, join(folder, "linked")));
  expect(problem).toMatchObject({ code: "STATE_DIRECTORY_UNUSABLE" });
  for (const part of ["runs", "backups", "parked"]) {
    const path = join(folder, `with-linked-${part}`);
    mkdirSync(path, { mode: 0o700 });
    symlinkSync(join(folder, "real", part), join(path, part));
    expect(await problemOf(openStateDirectory(world, path)), part).toMatchObject({
      code: "STATE_DIRECTORY_UNUSABLE",
    });
  }
});

test("a file in its place, or in the place of a parent, is refused", async () => {
  const folder = scratch();
  writeFileSync(join(folder, "file"), "");
  for (const path of [join(folder, "file"), join(folder, "file", "state")]) {
    const problem = await problemOf(openStateDirectory(world, path));
    expect(problem).toEqual({ code: "STATE_DIRECTORY_UNUSABLE", path, reason: "ENOTDIR" });
  }
});

test("a refusal of the disk names the directory", async () => {
  const path = join(scratch(), "state");
  const full = watchedWorld(world, ({ name }) => {
    if (name === "folder.makeFolder") throw faultFor(name);
  });
  expect(await problemOf(openStateDirectory(full, path))).toEqual({
    code: "STATE_DIRECTORY_UNUSABLE",
    path,
    reason: "EIO",
  });
});

test("looking for one makes none, and one that was never filled counts as none", async () => {
  const folder = scratch();
  const path = join(folder, "state");
  expect(await existingStateDirectory(world, path)).toBeNull();
  expect(readdirSync(folder)).toEqual([]);
  mkdirSync(path, { mode: 0o700 });
  for (const part of ["runs", "backups", "parked"]) {
    expect(await existingStateDirectory(world, path), `before ${part}`).toBeNull();
    mkdirSync(join(path, part), { mode: 0o700 });
  }
  const state = await existingStateDirectory(world, path);
  expect(state?.path).toBe(path);
  if (state !== null) await closeStateDirectory(state);
});

test.each([
  ["root's own place", 0, {}, undefined, "/var/lib/plex-reclaim"],
  [
    "root's own place whatever the environment says",
    0,
    { XDG_STATE_HOME: "/x" },
    undefined,
    "/var/lib/plex-reclaim",
  ],
  ["the user's home", 1000, {}, undefined, "/home/jane/.local/state/plex-reclaim"],
  ["where XDG_STATE_HOME says", 1000, { XDG_STATE_HOME: "/x/state" }, undefined, "/x/state/plex-reclaim"],
  [
    "not where a relative one says",
    1000,
    { XDG_STATE_HOME: "x" },
    undefined,
    "/home/jane/.local/state/plex-reclaim",
  ],
  [
    "not where an empty one says",
    1000,
    { XDG_STATE_HOME: "" },
    undefined,
    "/home/jane/.local/state/plex-reclaim",
  ],
  ["where --state-dir says, for a user", 1000, { XDG_STATE_HOME: "/x" }, "/mine", "/mine"],
  ["where --state-dir says, for root", 0, {}, "/mine", "/mine"],
] as const)("it is in %s", (_, uid, env, override, expected) => {
  const user = { uid, gid: uid, name: "jane", home: "/home/jane" };
  expect(stateDirectoryPath({ user, env }, override)).toBe(expected);
});
