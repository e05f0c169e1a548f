import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { Event } from "../../src/model/event.ts";
import { ProblemError } from "../../src/model/problem.ts";
import { macApplication } from "../../src/services/mac-application.ts";
import { stopServer } from "../../src/stages/5-stop.ts";
import type { PathContext, Target } from "../../src/stages/context.ts";
import { until } from "../../src/standins/server-process.ts";
import { APPLICATION } from "../support/mac-application.ts";
import { type MacStage, onMac } from "../support/mac-stage.ts";

const RESET = ["reset", "--yes"];
const AGENT = "com.example.conditional";

/** What nobody may have touched. */
async function standing(stage: MacStage) {
  return { ...(await stage.settings()), token: await stage.server.token() };
}

/** Loads a job of the account that starts the application after an end in peace. */
async function loadConditionalAgent({ mac, server }: MacStage): Promise<string> {
  const path = `${server.user.home}/Library/LaunchAgents/${AGENT}.plist`;
  const job = `<key>Label</key><string>${AGENT}</string><key>ProgramArguments</key><array><string>${APPLICATION.executable}</string></array><key>KeepAlive</key><dict><key>SuccessfulExit</key><true/></dict>`;
  await writeFile(mac.real(path), `<?xml version="1.0"?><plist version="1.0"><dict>${job}</dict></plist>`);
  await mac.own(path, server.user);
  expect((await mac.run("jane", "launchctl", ["bootstrap", "gui/501", path])).status).toBe(0);
  await until(() => server.answers(), 30_000, "NO_ANSWER");
  return path;
}

/** Clicks on the icon, and comes back when the application is a process: nothing of the run happens meanwhile. */
function click({ mac, server }: MacStage): void {
  const { uid } = server.user;
  const env = { MAC_STANDIN: dirname(mac.state()), MAC_UID: String(uid), MAC_SESSION: `gui/${uid}` };
  const words = ["-B", "-S", "-E", "-s", join(TOOLS, "open"), APPLICATION.path];
  expect(spawnSync("python3", words, { env: { ...env, PATH: process.env["PATH"] } }).status).toBe(0);
}

const TOOLS = fileURLToPath(new URL("../mac/tools", import.meta.url));

describe.concurrent("a server that is brought back", () => {
  test("by a job with conditions is noticed after its stop, and nothing is changed", async () => {
    await onMac({ running: false }, async (stage) => {
      await loadConditionalAgent(stage);
      const before = await standing(stage);
      const ended = await stage.call(RESET, { exitCode: 4, code: "RESTARTED_BY_ITSELF" });
      const [pid] = await stage.server.processes();
      expect(ended.result["problem"]).toMatchObject({
        pid,
        line: `ps -o pid,ppid,lstart,command -p ${pid}; launchctl print gui/501/${AGENT}`,
      });
      expect(await standing(stage)).toEqual(before);
      expect(await stage.server.answers()).toBe(true);
    });
  });

  test("by something that nobody can find is never edited while it runs", async () => {
    await onMac({ server: { startedBy: "unknown" }, switches: { respawnMs: 0 } }, async (stage) => {
      const before = await standing(stage);
      const ended = await stage.call(RESET, { exitCode: 4, code: "RESTARTED_BY_ITSELF" });
      expect((ended.result["problem"] as { line: string }).line).toMatch(
        /^ps -o .*; launchctl print gui\/501 \| grep -i -e plex -e \d+$/,
      );
      expect(await standing(stage)).toEqual(before);
      await until(() => stage.server.answers(), 30_000, "NO_ANSWER");
    });
  });

  test.each(["back-up", "edit"])("by a person at the step %s is not edited either", async (step) => {
    await onMac({}, async (stage) => {
      const before = await standing(stage);
      const onEvent = (event: Event) => {
        if (event.type === "step" && event.step === step && event.phase === "begin") click(stage);
      };
      await stage.call(RESET, { exitCode: 4, code: "RESTARTED_BY_ITSELF" }, { onEvent });
      expect(await standing(stage)).toEqual(before);
      await until(() => stage.server.answers(), 30_000, "NO_ANSWER");
    });
  });
});

interface Row {
  readonly pid: number;
  readonly second: number;
}

/** Stops a server of which `ps` shows this after the request, the last one for ever; how it ends, and after how long. */
async function stopShowing(
  ...after: readonly (readonly Row[])[]
): Promise<{ code: string; seconds: number }> {
  const settingsPath = "/Users/jane/Library/Preferences/com.plexapp.plexmediaserver.plist";
  const service = { kind: "mac-application", application: APPLICATION.path } as const;
  const account = { name: "jane", uid: 501, gid: 20 };
  const common = {
    id: "00000000",
    install: "mac-application",
    store: "defaults",
    url: "http://127.0.0.1:9",
  } as const;
  const server = { ...common, settingsPath, dataFolder: "/Users/jane/Plex", account, service };
  let asked = false;
  let looks = 0;
  let nowMs = 0;
  const shown = (): readonly Row[] => {
    if (!asked) return [BEFORE];
    looks += 1;
    return after[Math.min(looks, after.length) - 1] ?? [];
  };
  const row = ({ pid, second }: Row) =>
    `${pid} 1 501 S Sat Nov 22 06:42:0${second} 2025 ${APPLICATION.executable}\n`;
  const run: PathContext["world"]["run"] = async (file) => {
    const listed = ["1 0 0 Ss Sat Nov 22 06:00:00 2025 /sbin/launchd\n", ...shown().map(row)].join("");
    const stdout = file === "/bin/ps" ? listed : "";
    return { status: file === "/bin/launchctl" ? 1 : 0, signal: null, timedOut: false, stdout, stderr: "" };
  };
  const clock = {
    now: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: async (ms: number) => {
      nowMs += ms;
    },
  };
  const user = { ...account, home: "/Users/jane" };
  const world = { platform: "darwin", user, env: {}, run, clock, files: { list: async () => [] } };
  const silent = { local: async () => ({ status: 503, headers: {}, body: "" }) };
  const context = {
    world: { ...world, http: silent } as unknown as PathContext["world"],
    emit: () => undefined,
    interrupt: new AbortController().signal,
  };
  const application = macApplication(context.world, server, APPLICATION.path);
  const requestStop = async () => {
    asked = true;
  };
  const target = { server, service: { ...application, requestStop } };
  try {
    await stopServer(context, target as unknown as Target, null);
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return { code: error.problem.code, seconds: Math.round(nowMs / 1000) };
  }
  return { code: "stopped", seconds: Math.round(nowMs / 1000) };
}

const BEFORE: Row = { pid: 70, second: 1 };
const OTHER: Row = { pid: 71, second: 2 };

test("another process in the place of the one that was asked to stop is one that was started again", async () => {
  expect(await stopShowing([BEFORE], [OTHER])).toEqual({ code: "RESTARTED_BY_ITSELF", seconds: 0 });
  const sameNumber = { ...BEFORE, second: 2 };
  expect(await stopShowing([sameNumber])).toEqual({ code: "RESTARTED_BY_ITSELF", seconds: 0 });
});

test("as long as the one that was asked is there, it is waited for", async () => {
  expect(await stopShowing([BEFORE])).toEqual({ code: "STILL_RUNNING", seconds: 60 });
  expect((await stopShowing([BEFORE, OTHER])).code).toBe("STILL_RUNNING");
  expect((await stopShowing([BEFORE, OTHER], [BEFORE], [])).code).toBe("stopped");
});
