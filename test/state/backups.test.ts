import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import {
  backupSettingsPath,
  createBackup,
  deleteBackup,
  KEEP_DAYS,
  KEEP_NEWEST,
  listBackups,
  type Manifest,
  readBackup,
  tidyBackups,
} from "../../src/state/backups.ts";
import type { StateDirectory } from "../../src/state/state-directory.ts";
import { imageOf } from "../../src/stores/preferences-file.ts";
import type { World } from "../../src/world/world.ts";
import { type Effect, faultFor, watchedWorld } from "../support/faulty-world.ts";
import { NOW, problemOf, SERVER, scratch, stateIn, worldAt } from "./state-of-test.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const SETTINGS = '<Preferences a="b"/>\n';
const METADATA = { uid: 997, gid: 998, mode: 0o640 };
const SOURCE = {
  server: SERVER,
  settings: SERVER.settingsPath,
  stored: { image: imageOf(new TextEncoder().encode(SETTINGS)), metadata: METADATA },
  deviceId: "0123456789abcdef0123456789abcdef01234567",
  token: "ab".repeat(32),
  run: "20261122-031500-1a2b",
};

async function backups(world: World, state: StateDirectory, times: readonly number[], server = SERVER.id) {
  const made: Manifest[] = [];
  for (const at of times) {
    const then = { ...world, clock: { ...world.clock, now: () => at } };
    made.push(await createBackup(then, state, { ...SOURCE, server: { ...SERVER, id: server } }));
  }
  return made;
}

/** Whatever is listed can be read whole, and nothing else has the name of a backup. */
async function demandAllWhole(state: StateDirectory): Promise<readonly Manifest[]> {
  const { backups: listed, damaged } = await listBackups(state);
  expect(damaged).toEqual([]);
  for (const { id } of listed) {
    const { image, metadata } = await readBackup(state, id);
    expect(image).toEqual(SOURCE.stored.image);
    expect(metadata).toEqual(METADATA);
  }
  return listed;
}

test("what was backed up is read back, with all that a restore needs", async () => {
  const world = worldAt();
  const state = await stateIn(world);
  const manifest = await createBackup(world, state, SOURCE);
  expect(manifest.id).toMatch(/^20261122-031500-[0-9a-f]{4}$/);
  const backup = await readBackup(state, manifest.id);
  expect(backup).toEqual({ manifest, ...SOURCE.stored });
  expect(manifest).toMatchObject({
    version: 1,
    createdAt: NOW,
    server: SERVER.id,
    settings: SERVER.settingsPath,
    deviceId: SOURCE.deviceId,
    run: SOURCE.run,
    sha256: SOURCE.stored.image.sha256,
    sizeBytes: 21,
    token: SOURCE.token,
    metadata: METADATA,
  });
  expect(readFileSync(backupSettingsPath(state, manifest.id, "xml"), "utf8")).toBe(SETTINGS);
});

test("whichever effect fails, there is a whole backup or none, and a failure is thrown where it was not proven", async () => {
  const effects: Effect[] = [];
  const path = join(scratch(), "state");
  await createBackup(
    worldAt(),
    await stateIn(
      watchedWorld(worldAt(), (each) => effects.push(each)),
      path,
    ),
    SOURCE,
  );
  expect(effects.filter(({ name }) => name.endsWith(".sync")).length).toBeGreaterThan(5);
  for (const { index, name } of effects) {
    rmSync(path, { recursive: true });
    const faulty = watchedWorld(worldAt(), (effect) => {
      if (effect.index === index) throw faultFor(effect.name);
    });
    const refused = await stateIn(faulty, path)
      .then((state) => createBackup(worldAt(), state, SOURCE))
      .then(
        () => false,
        () => true,
      );
    const listed = await demandAllWhole(await stateIn(worldAt(), path));
    if (!refused) expect(listed, `effect ${index} (${name})`).toHaveLength(1);
    if (!name.endsWith(".close")) expect(refused, `effect ${index} (${name})`).toBe(true);
  }
});

test("a refusal of the disk is told as a backup that failed, and where", async () => {
  const state = await stateIn(
    watchedWorld(worldAt(), ({ name }) => {
      if (name === "file.write") throw faultFor(name);
    }),
  );
  const problem = await problemOf(createBackup(worldAt(), state, SOURCE));
  expect(problem).toMatchObject({ code: "BACKUP_FAILED", reason: "EIO" });
  expect(problem).toHaveProperty("path", expect.stringContaining(join(state.path, "backups", "2026")));
});

test("bytes that do not come back as they were written are no backup", async () => {
  const world = worldAt();
  const state = await stateIn(
    watchedWorld(world, ({ name, args }) => {
      if (name === "file.write" && args[0] instanceof Uint8Array && args[0].length === 21) args[0][3] = 0;
    }),
  );
  const source = {
    ...SOURCE,
    stored: { ...SOURCE.stored, image: imageOf(SOURCE.stored.image.bytes.slice()) },
  };
  expect(await problemOf(createBackup(world, state, source))).toMatchObject({ code: "BACKUP_DAMAGED" });
});

test("wherever the process dies while one backup is made and another removed, each is there whole or not at all", async () => {
  const state = await stateIn(worldAt());
  const [old] = await backups(worldAt(), state, [NOW - 1000]);
  const looks = new Set<string>();
  const look = () => {
    const names = readdirSync(join(state.path, "backups")).filter((name) => !name.startsWith("."));
    const whole = names.map((name) => {
      const folder = join(state.path, "backups", name);
      const files = readdirSync(folder).sort().join();
      const settings = readFileSync(join(folder, "settings.xml"), "utf8");
      return `${name === old?.id ? "old" : "new"}: ${files} ${settings}`;
    });
    looks.add(whole.join());
  };
  let looking = false;
  const world = watchedWorld(worldAt(), () => {
    if (looking) look();
  });
  const watched = await stateIn(world, state.path);
  looking = true;
  const made = await createBackup(worldAt(), watched, SOURCE);
  await deleteBackup(watched, old?.id ?? "");
  looking = false;
  const [before, after] = ["old", "new"].map((name) => `${name}: manifest.json,settings.xml ${SETTINGS}`);
  expect([...looks]).toEqual([before, `${before},${after}`, after]);
  expect((await demandAllWhole(state)).map(({ id }) => id)).toEqual([made.id]);
  expect(readdirSync(join(state.path, "backups"))).toEqual([made.id]);
});

test("every single byte that is flipped, of the settings or of the manifest, is found", async () => {
  const state = await stateIn(worldAt());
  const { id } = await createBackup(worldAt(), state, SOURCE);
  for (const name of ["settings.xml", "manifest.json"]) {
    const path = join(state.path, "backups", id, name);
    const whole = readFileSync(path);
    for (const [index, byte] of whole.entries()) {
      for (const flip of [0x01, 0x20, 0x80]) {
        writeFileSync(path, whole.with(index, byte ^ flip));
        const what = `${name} ${index} ${flip}`;
        expect(await problemOf(readBackup(state, id)), what).toMatchObject({ code: "BACKUP_DAMAGED", id });
      }
    }
    for (const length of [0, 1, whole.length - 2]) {
      writeFileSync(path, whole.subarray(0, length));
      expect(await problemOf(readBackup(state, id))).toMatchObject({ code: "BACKUP_DAMAGED", id });
    }
    writeFileSync(path, whole);
    await readBackup(state, id);
  }
});

test("a backup whose manifest is damaged is listed by its name, beside the whole ones", async () => {
  const state = await stateIn(worldAt());
  const [first, second, third] = await backups(worldAt(), state, [NOW, NOW + 1000, NOW + 2000]);
  const folder = (one: Manifest | undefined) => join(state.path, "backups", one?.id ?? "");
  writeFileSync(join(folder(second), "manifest.json"), "{}");
  mkdirSync(join(state.path, "backups", ".20261122-031500-aaaa.new"));
  mkdirSync(join(state.path, "backups", "lost+found"));
  expect(await listBackups(state)).toEqual({ backups: [third, first], damaged: [second?.id] });
  rmSync(join(folder(first), "settings.xml"));
  const missing = { code: "BACKUP_DAMAGED", id: first?.id, reason: "settings-missing" };
  expect(await problemOf(readBackup(state, first?.id ?? ""))).toEqual(missing);
  rmSync(join(folder(first), "manifest.json"));
  expect((await listBackups(state)).damaged).toEqual([second?.id, first?.id]);
});

test("a backup under the name of another is not believed", async () => {
  const state = await stateIn(worldAt());
  const { id } = await createBackup(worldAt(), state, SOURCE);
  const other = "20200101-000000-0000";
  renameSync(join(state.path, "backups", id), join(state.path, "backups", other));
  expect(await problemOf(readBackup(state, other))).toMatchObject({ code: "BACKUP_DAMAGED", id: other });
});

test("backups of one second are listed newest first too", async () => {
  const state = await stateIn(worldAt());
  const made = await backups(
    worldAt(),
    state,
    [300, 0, 900, 1, 1200, 899].map((ms) => NOW + ms),
  );
  const newestFirst = [...made].sort((a, b) => b.createdAt - a.createdAt);
  expect((await listBackups(state)).backups).toEqual(newestFirst);
});

test("a name leads nowhere else", async () => {
  const state = await stateIn(worldAt());
  const { id } = await createBackup(worldAt(), state, SOURCE);
  for (const name of [
    "",
    ".",
    "..",
    `../backups/${id}`,
    `${id}/`,
    `${id}\n`,
    `.${id}.new`,
    "20261122-031500-zzzz",
  ]) {
    const problem = { code: "BACKUP_NOT_FOUND", id: name };
    expect(await problemOf(readBackup(state, name))).toEqual(problem);
    expect(await problemOf(deleteBackup(state, name))).toEqual(problem);
  }
  await readBackup(state, id);
});

test("of each server the newest stay whatever their age, and the young ones whatever their number", async () => {
  const clock = { ms: NOW };
  const world = worldAt(clock);
  const state = await stateIn(world);
  const edge = NOW - KEEP_DAYS * DAY_MS;
  const old = Array.from({ length: KEEP_NEWEST + 3 }, (_, index) => edge - (index + 1) * 60_000);
  const ancient = await backups(world, state, old);
  const lonely = await backups(world, state, [edge - 300 * DAY_MS], "11111111");
  const busy = Array.from({ length: KEEP_NEWEST + 3 }, (_, index) => NOW - index * 60_000);
  const young = await backups(world, state, [...busy, edge], "22222222");
  const inUse = ancient.at(-1)?.id ?? "";

  expect(await tidyBackups(world, state, new Set([inUse]))).toBe(2);
  const kept = (await demandAllWhole(state)).map(({ id }) => id);
  const expected = [...ancient.slice(0, KEEP_NEWEST), ...lonely, ...young].map(({ id }) => id);
  expect(kept.sort()).toEqual([...expected, inUse].sort());
  expect(await tidyBackups(world, state, new Set([inUse])), "a second time").toBe(0);

  clock.ms = NOW + 1;
  expect(await tidyBackups(world, state, new Set()), "a day and a moment later").toBe(2);
});

test("what a dead process left of a backup is removed, but not what another one may be making just now", async () => {
  const world = worldAt();
  const state = await stateIn(world);
  const folder = join(state.path, "backups");
  for (const name of [
    ".20261121-000000-aaaa.new",
    ".20261121-000000-bbbb.gone",
    ".20261122-031459-cccc.new",
  ]) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, "settings.xml"), "secret");
  }
  await tidyBackups(world, state, new Set());
  expect(readdirSync(folder)).toEqual([".20261122-031459-cccc.new"]);
});

test("at no moment can anybody else read a part of it, even without a umask", async () => {
  const before = process.umask(0);
  onTestFinished(() => void process.umask(before));
  const path = join(scratch(), "deep", "state");
  const open = new Set<string>();
  let looks = 0;
  const look = (at: string): void => {
    if (!existsSync(at)) return;
    const stat = statSync(at);
    looks += 1;
    if ((stat.mode & 0o7777) !== (stat.isDirectory() ? 0o700 : 0o600))
      open.add(`${at} ${stat.mode.toString(8)}`);
    if (stat.isDirectory()) for (const name of readdirSync(at)) look(join(at, name));
  };
  const world = watchedWorld(worldAt(), () => look(join(path, "..")));
  const state = await stateIn(world, path);
  const { id } = await createBackup(world, state, SOURCE);
  await readBackup(state, id);
  await deleteBackup(state, id);
  expect([...open]).toEqual([]);
  expect(looks).toBeGreaterThan(100);
});
