import { mkdirSync, renameSync } from "node:fs";
import { userInfo } from "node:os";
import { expect, onTestFinished, test } from "vitest";
import { ProblemError } from "../../src/model/problem.ts";
import { openWorld, realWorld } from "../../src/world/real.ts";
import { refusal, scratchFolder } from "./scratch.ts";

test("the real world knows who and where we are", async () => {
  const world = realWorld();
  const { uid, gid, username, homedir } = userInfo();
  expect(world.platform).toBe("linux");
  expect(world.user).toEqual({ uid, gid, name: username, home: homedir });
  expect(world.env["PATH"]).toBe(process.env["PATH"]);
  expect(world.processes.ownPid).toBe(process.pid);
  expect((await world.files.stat("/")).kind).toBe("folder");
  expect((await world.run("echo", ["hello"], { timeoutMs: 60_000 })).stdout).toBe("hello\n");
  const held = await world.lock(`test-${world.randomHex(8)}`);
  expect(held).not.toBeNull();
  await held?.release();
});

test("random names are as long as asked for, and differ", () => {
  const world = realWorld();
  expect(world.randomHex(16)).toMatch(/^[0-9a-f]{32}$/);
  expect(world.randomHex(16)).not.toBe(world.randomHex(16));
});

test("a sleep ends at once when it is called off", async () => {
  const { clock } = realWorld();
  const hour = 3_600_000;
  await clock.sleep(hour, AbortSignal.abort());
  const controller = new AbortController();
  const sleeping = clock.sleep(hour, controller.signal);
  controller.abort();
  await sleeping;

  const before = clock.monotonicMs();
  await clock.sleep(5);
  expect(clock.monotonicMs()).toBeGreaterThan(before);
  expect(Math.abs(clock.now() - Date.now())).toBeLessThan(60_000);
});

test("the world of this system is opened by whatever system it is", async () => {
  const world = await openWorld();
  expect(world.platform).toBe("linux");
  expect(world.windows).toBeUndefined();
});

function playing(platform: string): void {
  const real = process.platform;
  onTestFinished(() => {
    Object.defineProperty(process, "platform", { value: real });
  });
  Object.defineProperty(process, "platform", { value: platform });
}

test.each(["darwin", "win32", "freebsd"])("the platform %s has no world like Linux's", (platform) => {
  playing(platform);
  expect(() => realWorld()).toThrow(ProblemError);
});

test.each(["freebsd", "sunos"])("the platform %s is refused by its name", async (platform) => {
  playing(platform);
  const error = await openWorld().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ProblemError);
  expect((error as ProblemError).problem).toEqual({ code: "UNSUPPORTED_PLATFORM", platform });
});

test("on a Mac, what /proc tells elsewhere is neither asked for nor taken for nothing", async () => {
  playing("darwin");
  const world = await openWorld();
  expect(world.platform).toBe("darwin");
  expect(world.windows).toBeUndefined();
  expect(world.processes.ownPid).toBe(process.pid);
  expect(await refusal(world.processes.plexMediaServers())).toBe("ENOSYS");
  expect((await world.run("echo", ["hello"], { timeoutMs: 60_000 })).stdout).toBe("hello\n");

  // Without descriptors as paths, a folder that was moved away is noticed by what its name leads to.
  const place = scratchFolder();
  mkdirSync(`${place}/pinned`);
  const folder = await world.files.openFolder(`${place}/pinned`);
  await (await folder.createFile("one", 0o600)).close();
  renameSync(`${place}/pinned`, `${place}/moved`);
  mkdirSync(`${place}/pinned`);
  expect(await refusal(folder.createFile("two", 0o600))).toBe("ESTALE");
  await folder.close();
});
