import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ProblemError } from "../../src/model/problem.ts";
import { commandService } from "../../src/services/command.ts";
import { realWorld } from "../../src/world/real.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "plex-reclaim-command-"));
});

afterEach(async () => {
  const pids = join(folder, "pid");
  if (existsSync(pids)) process.kill(Number(await readFile(pids, "utf8")), "SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

function service(commands: { stop?: string; start?: string }, env: Record<string, string> = {}) {
  return commandService({ ...realWorld(), env: { ...process.env, ...env } }, commands);
}

async function problemOf(work: Promise<void>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ProblemError) return error.problem;
    throw error;
  }
  return "none";
}

/** A server that says something again and again, as a real one does, and notes its process. */
async function server(): Promise<string> {
  const path = join(folder, "my server");
  await writeFile(
    path,
    `#!/bin/sh\necho $$ >'${folder}/pid'\nwhile :; do echo line; echo . >>'${folder}/said'; sleep 0.05; done\n`,
    {
      mode: 0o755,
    },
  );
  return path.replace(" ", "\\ ");
}

/** Whether it goes on talking: a writer without a reader dies of its next line. */
async function goesOn(): Promise<boolean> {
  const pid = Number(await readFile(join(folder, "pid"), "utf8"));
  const lines = async () => (await readFile(join(folder, "said"), "utf8")).length;
  const before = await lines();
  while ((await lines()) < before + 8) {
    if (!existsSync(`/proc/${pid}`)) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}

describe("a user's start command", () => {
  it("may be the server itself, in the foreground: it is left running", async () => {
    await service({ start: await server() }).start({ resetLimit: false });
    expect(await goesOn()).toBe(true);
  });

  it("may put the server in the background", async () => {
    await service({ start: `${await server()} &` }).start({ resetLimit: false });
    expect(await goesOn()).toBe(true);
  });

  it("fails by its exit status", async () => {
    const start = "exit 3";
    expect(await problemOf(service({ start }).start({ resetLimit: false }))).toEqual({
      code: "START_FAILED",
      command: start,
      detail: "status=3",
    });
    const missing = `${folder}/none`;
    expect(await problemOf(service({ start: missing }).start({ resetLimit: false }))).toMatchObject({
      detail: "status=127",
    });
  });

  it("is refused when there is none", async () => {
    expect(await problemOf(service({ stop: "true" }).start({ resetLimit: false }))).toEqual({
      code: "NO_WAY_TO_STOP",
      reason: "no-start-command",
    });
  });
});

describe("a user's stop command", () => {
  it("is a line of the shell", async () => {
    await service({ stop: `printf '%s' "a  b" | cat >'${folder}/out'` }).requestStop();
    expect(await readFile(join(folder, "out"), "utf8")).toBe("a  b");
  });

  it("fails by its exit status or its signal", async () => {
    expect(await problemOf(service({ stop: "exit 5" }).requestStop())).toEqual({
      code: "STOP_FAILED",
      command: "exit 5",
      detail: "status=5",
    });
    expect(await problemOf(service({ stop: "kill -KILL $$" }).requestStop())).toMatchObject({
      detail: "SIGKILL",
    });
  });

  it("has what such commands need of our environment, and no claim code", async () => {
    const env = { DOCKER_HOST: "unix:///run/x.sock", PLEX_CLAIM: "claim-secret", PLEX_RECLAIM_YES: "1" };
    await service({ stop: `env >'${folder}/out'` }, env).requestStop();
    const seen = await readFile(join(folder, "out"), "utf8");
    expect(seen).toContain("DOCKER_HOST=unix:///run/x.sock\n");
    expect(seen).not.toContain("claim-secret");
    expect(seen).not.toContain("PLEX_RECLAIM");
  });
});
