import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { findServersOnLinux } from "../../src/installs/linux.ts";
import { realWorld } from "../../src/world/real.ts";
import { needs, scratchFolder, until } from "../world/scratch.ts";

const STRANGER = 65_534;
const OWNER = 12_345;

test("a program of the server's name that a stranger runs does not pass for the server", async (context) => {
  needs(context, process.getuid?.() === 0, "root, to run a program as somebody else");
  const folder = scratchFolder();
  const dataFolder = join(folder, "Plex Media Server");
  const settings = join(dataFolder, "Preferences.xml");
  const program = join(folder, "bin", "Plex Media Server");
  for (const path of [dataFolder, join(folder, "bin")]) mkdirSync(path);
  writeFileSync(settings, "<Preferences/>");
  copyFileSync("/bin/sleep", program);
  for (const path of [folder, dataFolder, join(folder, "bin"), program]) chmodSync(path, 0o755);

  const world = realWorld();
  const processes = async () => (await findServersOnLinux(world, { settings })).servers[0]?.processes;
  const listed = async () =>
    (await findServersOnLinux(world, {})).servers.filter(({ server }) => server.settingsPath === settings);
  await runs(program, folder, STRANGER);
  expect(await processes()).toEqual([]);
  expect(await listed()).toEqual([]);

  // The real one, beside it: run by the account that the settings belong to.
  chownSync(settings, OWNER, OWNER);
  const pid = await runs(program, folder, OWNER);
  expect(await processes()).toEqual([expect.objectContaining({ pid })]);
  expect(await listed()).toHaveLength(1);
});

/** Runs a copy of `sleep` as an account until the test ends; answers its number once it is that program. */
async function runs(program: string, folder: string, uid: number): Promise<number> {
  const env = { PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR: folder };
  const child = spawn(program, ["1000"], { uid, gid: uid, env, cwd: "/", stdio: "ignore" });
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  const { plexMediaServers } = realWorld().processes;
  await until("there", async () =>
    (await plexMediaServers()).some(({ pid, env: own }) => pid === child.pid && own !== null),
  );
  return child.pid ?? -1;
}
