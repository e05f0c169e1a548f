import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { bootRoot, whyNoSystemd } from "../support/systemd-root.ts";

const reason = whyNoSystemd();
const SUPPORT = new URL("../support/systemd-root.ts", import.meta.url).href;

/** Processes that have the name of a machine, or what was started in it under that name, among their arguments. */
function traces(name: string): string[] {
  const all = execFileSync("ps", ["-eo", "args"], { encoding: "utf8" }).split("\n");
  return all.filter((args) => args.includes(name));
}

describe.skipIf(reason !== null)(`a booted root${reason === null ? "" : ` (skipped: ${reason})`}`, () => {
  it("is one of several that know nothing of each other, and leaves nothing when it is stopped", async () => {
    const [one, other] = await Promise.all([bootRoot(), bootRoot()]);
    const name = (await one.succeed("hostname")).trim();
    try {
      const unit = "[Service]\nExecStart=/bin/sleep infinity\n";
      for (const host of [one, other]) {
        await host.write("/etc/systemd/system/same.service", unit);
        await host.succeed("systemctl daemon-reload && systemctl start same");
      }
      await one.succeed("systemctl stop same");
      expect((await other.run("systemctl is-active same")).stdout).toBe("active\n");
      expect((await one.run("systemctl is-active same")).stdout).toBe("inactive\n");
    } finally {
      await Promise.all([one.stop(), other.stop()]);
    }
    expect(traces(name)).toEqual([]);
    expect(readFileSync("/proc/self/mounts", "utf8")).not.toContain(name);
  });

  it("dies with the process that booted it, even when that is killed", async () => {
    const script = `
      const { bootRoot } = await import(${JSON.stringify(SUPPORT)});
      const host = await bootRoot();
      const name = (await host.succeed("hostname")).trim();
      await host.succeed("systemd-run --quiet /bin/sh -c 'sleep infinity; : " + name + "'");
      process.stdout.write(name);
      setInterval(() => undefined, 1000);`;
    const owner = spawn(process.execPath, ["--input-type=module", "-e", script]);
    try {
      const name = await new Promise<string>((resolve, reject) => {
        owner.stdout.once("data", (chunk: Buffer) => resolve(chunk.toString().trim()));
        owner.once("exit", () => reject(new Error("it never booted")));
      });
      expect(traces(name)).toHaveLength(2);
      owner.kill("SIGKILL");
      while (traces(name).length > 0) await sleep(50);
    } finally {
      owner.kill("SIGKILL");
    }
  });
});
