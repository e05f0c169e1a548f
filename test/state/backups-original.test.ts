import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  backupFolder,
  createBackup,
  deleteBackup,
  listBackups,
  readBackup,
} from "../../src/state/backups.ts";
import { imageOf } from "../../src/stores/preferences-file.ts";
import { watchedWorld } from "../support/faulty-world.ts";
import { problemOf, SERVER, stateIn, worldAt } from "./state-of-test.ts";

const NAME = "com.plexapp.plexmediaserver.plist";
const KEPT = `original-${NAME}`;
const ORIGINAL = { name: NAME, bytes: Uint8Array.of(0x62, 0x70, 0, 255, 1) };
const STORED = { image: imageOf(new TextEncoder().encode("bplist00 the image")), metadata: null };
const SOURCE = {
  server: { ...SERVER, store: "defaults" as const },
  settings: `/Users/jane/Library/Preferences/${NAME}`,
  stored: { ...STORED, original: ORIGINAL },
  deviceId: null,
  token: null,
  run: null,
};

test("a file that the settings lay in is kept untouched beside them, for its owner alone", async () => {
  const world = worldAt();
  const state = await stateIn(world);
  const manifest = await createBackup(world, state, SOURCE);
  expect(manifest.original).toMatchObject({ name: NAME, sizeBytes: 5 });
  const folder = backupFolder(state, manifest.id);
  expect(readdirSync(folder).sort()).toEqual(["manifest.json", KEPT, "settings.plist"]);
  expect(new Uint8Array(readFileSync(join(folder, KEPT)))).toEqual(ORIGINAL.bytes);
  expect(statSync(join(folder, KEPT)).mode & 0o777).toBe(0o600);
  expect(await readBackup(state, manifest.id)).toEqual({ manifest, ...STORED });
  expect((await listBackups(state)).backups).toEqual([manifest]);
  await deleteBackup(state, manifest.id);
  expect(readdirSync(join(state.path, "backups"))).toEqual([]);
});

test("a backup without such a file has no word of it, and is read as ever", async () => {
  const world = worldAt();
  const state = await stateIn(world);
  const manifest = await createBackup(world, state, { ...SOURCE, stored: STORED });
  const folder = backupFolder(state, manifest.id);
  expect(readdirSync(folder).sort()).toEqual(["manifest.json", "settings.plist"]);
  expect(readFileSync(join(folder, "manifest.json"), "utf8")).not.toContain("original");
  expect(await readBackup(state, manifest.id)).toEqual({ manifest, ...STORED });
});

test("a restore does not need that file", async () => {
  const world = worldAt();
  const state = await stateIn(world);
  const manifest = await createBackup(world, state, SOURCE);
  const path = join(backupFolder(state, manifest.id), KEPT);
  writeFileSync(path, "damaged");
  expect((await readBackup(state, manifest.id)).image).toEqual(STORED.image);
  rmSync(path);
  expect((await readBackup(state, manifest.id)).image).toEqual(STORED.image);
});

test("a new backup whose copy of that file does not come back as it was written is none", async () => {
  const state = await stateIn(
    watchedWorld(worldAt(), ({ name, args }) => {
      const [bytes] = args;
      if (name === "file.write" && bytes instanceof Uint8Array && bytes.length === 5) bytes[3] = 0;
    }),
  );
  const stored = { ...STORED, original: { name: NAME, bytes: ORIGINAL.bytes.slice() } };
  const problem = await problemOf(createBackup(worldAt(), state, { ...SOURCE, stored }));
  expect(problem).toMatchObject({ code: "BACKUP_DAMAGED", reason: "hash" });
});
