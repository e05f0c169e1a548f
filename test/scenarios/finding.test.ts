import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { inBothLanguages } from "../support/both-languages.ts";
import { demandEnd, eventually, isRoot, onStage, quoted, type Stage } from "../support/stage.ts";

/** What is known to the program of the machine alone: no option names a server. */
const UNTOLD = Object.fromEntries(
  ["SETTINGS", "STOP_COMMAND", "START_COMMAND", "PROCESS_MATCH", "SERVER_URL"].map((name) => [
    `PLEX_RECLAIM_${name}`,
    null,
  ]),
);

/** A machine in the machine: it sees its own processes alone, no service manager, and no server at a usual place. */
interface Inside {
  readonly through: readonly string[];
  start(line: string): Promise<void>;
  end(): void;
}

async function inside(stage: Stage): Promise<Inside> {
  const ready = join(stage.folder, "inside-is-ready");
  const hide = ["/run/systemd", "/var/lib/plexmediaserver", "/var/lib/plex"].filter((path) =>
    existsSync(path),
  );
  const mounts = hide.map((path) => `mount -t tmpfs none ${quoted(path)};`).join(" ");
  const line = `${mounts} : >${quoted(ready)}; exec sleep 600`;
  const args = ["--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", line];
  const holder: ChildProcess = spawn("unshare", args, { stdio: "ignore" });
  await eventually(() => existsSync(ready), "a machine in the machine");
  const children = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, "utf8");
  const through = ["nsenter", `--target=${children.trim()}`, "--mount", "--pid"];
  return {
    through,
    start: (command) =>
      new Promise((fulfil) => {
        const [file = "", ...rest] = [...through, "sh", "-c", command];
        spawn(file, rest, { stdio: "ignore" }).once("exit", () => fulfil());
      }),
    end: () => holder.kill("SIGKILL"),
  };
}

describe.runIf(isRoot())("without an option that names one", { concurrent: true }, () => {
  test("no server: status is an empty list, and the others say that there is none", async () => {
    await onStage({ running: false }, async (stage) => {
      const machine = await inside(stage);
      try {
        const options = { env: UNTOLD, through: machine.through };
        const seen = await inBothLanguages(stage, ["status"], { exitCode: 0, code: "OK" }, options);
        expect(seen.result["servers"]).toEqual([]);
        const ending = { exitCode: 3, code: "NO_SERVER" };
        await inBothLanguages(stage, ["reset", "--yes"], ending, options);
        for (const args of [["verify"], ["claim", "--yes"], ["backup", "create"]])
          demandEnd(await stage.json(args, options), 3, "NO_SERVER");
      } finally {
        machine.end();
      }
    });
  });

  test("several servers: none is guessed, and the IDs are named", async () => {
    await onStage({ running: false, state: "signed-in" }, async (stage) => {
      const bob = { username: "bob", email: "bob@example.com" };
      const other = await stage.another("other", { owner: bob, state: "signed-in" });
      const machine = await inside(stage);
      try {
        mkdirSync(join(stage.folder, "home"), { recursive: true });
        const servers = [stage.server, other];
        for (const server of servers) await machine.start(server.startLine);
        await eventually(() => servers.every((server) => server.running), "two servers");
        for (const server of servers) await eventually(() => server.answers(), "an answer");
        const before = [stage.settings, stage.process];
        const options = { env: UNTOLD, through: machine.through };
        const seen = await inBothLanguages(stage, ["status"], { exitCode: 0, code: "OK" }, options);
        const listed = seen.result["servers"] as { id: string; settings: string; running: boolean }[];
        expect(listed.map(({ settings }) => settings).sort()).toEqual(
          servers.map((server) => server.settingsPath).sort(),
        );
        const ids = listed.map(({ id }) => id);
        const ended = await inBothLanguages(
          stage,
          ["reset", "--yes"],
          { exitCode: 3, code: "SEVERAL_SERVERS" },
          options,
        );
        expect(ended.result["problem"]).toMatchObject({ ids });
        for (const args of [["verify"], ["claim", "--yes"], ["backup", "create"]])
          demandEnd(await stage.json(args, options), 3, "SEVERAL_SERVERS");
        const id = listed.find(({ settings }) => settings === stage.server.settingsPath)?.id ?? "";
        const env = { ...UNTOLD, PLEX_RECLAIM_SERVER_URL: stage.server.url };
        const named = { ...options, env };
        demandEnd(await stage.json(["verify", "--server", id], named), 0, "OK");
        demandEnd(await stage.json(["verify", "--server", "00000000"], named), 3, "SERVER_NOT_FOUND");
        expect([stage.settings, stage.process]).toEqual(before);
      } finally {
        machine.end();
      }
    });
  });
});
