import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { lock } from "../../src/world/lock.ts";
import { until } from "./scratch.ts";

const source = new URL("../../src/world/lock.ts", import.meta.url).href;

/** Another process that takes the lock and says so; with `stay` it then waits to be killed. */
function holder(name: string, stay: boolean) {
  const script = `
    const { lock } = await import(${JSON.stringify(source)});
    const held = await lock(${JSON.stringify(name)});
    console.log(held === null ? "refused" : "held");
    ${stay ? "setInterval(() => undefined, 1000);" : ""}
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  return child;
}

test("a lock that another process holds is refused, and free once that process is killed", async () => {
  const name = randomUUID();
  const other = holder(name, true);
  expect(String(await once(other.stdout, "data"))).toContain("held");
  expect(await lock(name)).toBeNull();
  const elsewhere = await lock(`${name}-another`);
  expect(elsewhere).not.toBeNull();
  await elsewhere?.release();

  other.kill("SIGKILL");
  await until("the lock is free", async () => {
    const mine = await lock(name);
    await mine?.release();
    return mine !== null;
  });
});

test("a lock is held until it is released, also against its own process", async () => {
  const name = randomUUID();
  const first = await lock(name);
  expect(first).not.toBeNull();
  expect(await lock(name)).toBeNull();
  const other = holder(name, false);
  expect(String(await once(other.stdout, "data"))).toContain("refused");
  await first?.release();
  const second = await lock(name);
  expect(second).not.toBeNull();
  await second?.release();
});

test("a held lock does not keep its process alive", async () => {
  const other = holder(randomUUID(), false);
  expect(await once(other, "exit")).toEqual([0, null]);
});

test("who connects is turned away and changes nothing", async () => {
  const name = randomUUID();
  const held = await lock(name);
  const caller = connect({ path: `\0plex-reclaim/${name}` });
  caller.on("error", () => undefined);
  caller.write("hello");
  await new Promise((resolve) => caller.on("close", resolve));
  expect(await lock(name)).toBeNull();
  await held?.release();
});

test("a name that would have to be cut is refused", async () => {
  await expect(lock("x".repeat(95))).rejects.toMatchObject({ name: "SystemError", code: "ENAMETOOLONG" });
  const longest = await lock(randomUUID().padEnd(94, "x"));
  expect(longest).not.toBeNull();
  await longest?.release();
});
