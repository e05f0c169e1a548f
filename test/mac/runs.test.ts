import { renameSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import type { Event } from "../../src/model/event.ts";
import { until } from "../../src/standins/server-process.ts";
import { APPLICATION, bundleAt } from "../support/mac-application.ts";
import type { MacServer } from "../support/mac-server.ts";
import { type MacStage, onMac } from "../support/mac-stage.ts";
import { DEFAULT_SWITCHES, type MacSwitches } from "../support/mac-switches.ts";
import { integer, string } from "../support/mac-values.ts";
import { type Ended, noteOf, notesOf } from "../support/stage.ts";

const RESET = ["reset", "--yes"];
const OK = { exitCode: 0, code: "OK" };
const SIGNED_OUT = { exitCode: 0, code: "SIGNED_OUT" };
const WHILE_STOPPED = { exitCode: 0, code: "EDITED_WHILE_STOPPED" };
const MET = ["met", "met", "met"];
const FOUR = ["PlexOnlineHome", "PlexOnlineMail", "PlexOnlineToken", "PlexOnlineUsername"];

async function withCode(stage: MacStage, user?: string): Promise<string[]> {
  return [...RESET, "--claim-code-file", await stage.codeFile(user)];
}

function criteriaOf(ended: Ended): string[] {
  return (ended.result["criteria"] as { result: string }[]).map(({ result }) => result);
}

function serversOf(ended: Ended): { id: string; settings: string }[] {
  return ended.result["servers"] as { id: string; settings: string }[];
}

/** What nobody may have touched. */
async function standing(stage: MacStage, server: MacServer = stage.server) {
  return { ...(await stage.settings(server)), processes: await server.processes() };
}

describe.concurrent("on a Mac", () => {
  test("status finds the server of the account, and says how it is kept and what it is", async () => {
    await onMac({}, async (stage) => {
      const before = await standing(stage);
      const ended = await stage.call(["status"], OK);
      expect(ended.result["servers"]).toEqual([
        {
          id: expect.stringMatching(/^[0-9a-f]{8}$/),
          state: "locked-out",
          reason: "TOKEN_REVOKED",
          running: true,
          settings: stage.server.plist,
          dataFolder: stage.server.dataFolder,
          logFolder: stage.server.logFolder,
          certificateFolder: stage.server.cacheFolder,
          install: "mac-application",
          service: "mac-application",
          runsAs: stage.server.user.name,
          account: "jane",
          friendlyName: expect.any(String),
        },
      ]);
      expect(await standing(stage)).toEqual(before);
      expect(stage.pathsBelow(stage.stateDirectory())).toEqual([]);
    });
  });

  test("a dry run shows the plan and changes nothing", async () => {
    await onMac({}, async (stage) => {
      const files = stage.pathsBelow("/Users");
      const before = await standing(stage);
      const ended = await stage.call(["reset", "--dry-run"], { exitCode: 0, code: "DRY_RUN" });
      expect(ended.lines.map((line) => line["type"])).toContain("plan");
      expect(await standing(stage)).toEqual(before);
      expect(stage.pathsBelow("/Users")).toEqual(files);
    });
  });

  test("reset without a code removes the four values and nothing else, and the server runs again", async () => {
    await onMac({ server: { home: true } }, async (stage) => {
      const before = await standing(stage);
      expect(before.four).toEqual(FOUR);
      const ended = await stage.call(RESET, SIGNED_OUT);
      const after = await standing(stage);
      expect(after.four).toEqual([]);
      expect(after.others).toBe(before.others);
      expect(after.processes).toHaveLength(1);
      expect(after.processes).not.toEqual(before.processes);
      expect(await stage.server.answers()).toBe(true);
      const ways = ended.result["signInWays"] as { way: string; line?: string }[];
      expect(ways[0]).toMatchObject({
        way: "claim-command",
        line: expect.stringMatching(/^plex-reclaim claim/),
      });
      // What the daemon has written is the same.
      await stage.mac.flush();
      expect([...(await stage.server.fileValues()).keys()].filter((name) => FOUR.includes(name))).toEqual([]);
    });
  });

  test("a code that plex.tv refuses touches nothing; a good one is exchanged before the stop, and heals", async () => {
    await onMac({ server: { home: true } }, async (stage) => {
      const before = await standing(stage);
      await stage.plexTv.setMode({ kind: "refused" }, { times: 1 });
      await stage.call(await withCode(stage), { exitCode: 3, code: "CLAIM_CODE_REFUSED" });
      expect(await standing(stage)).toEqual(before);

      const ended = await stage.call(await withCode(stage), OK);
      expect(criteriaOf(ended)).toEqual(MET);
      const steps = ended.lines
        .filter((line) => line["type"] === "step" && line["phase"] === "begin")
        .map((line) => line["step"]);
      expect(steps.indexOf("obtain")).toBeGreaterThan(-1);
      expect(steps.indexOf("obtain")).toBeLessThan(steps.indexOf("stop"));
      const after = await standing(stage);
      expect(after.others).toBe(before.others);
      expect(await stage.isHealed()).toBe(true);
      expect(await stage.exchanges()).toBe(2);
    });
  });

  test("claim signs in a server that was signed out", async () => {
    await onMac({ server: { state: "signed-out" } }, async (stage) => {
      const args = ["claim", "--yes", "--claim-code-file", await stage.codeFile()];
      expect(criteriaOf(await stage.call(args, OK))).toEqual(MET);
      expect(await stage.isHealed()).toBe(true);
    });
  });

  test("undo brings back exactly what a reset removed, and a second time changes nothing", async () => {
    await onMac({ server: { home: true } }, async (stage) => {
      const before = await stage.settings();
      const token = await stage.server.token();
      await stage.call(RESET, SIGNED_OUT);
      await stage.call(["undo", "--yes"], { exitCode: 6, code: "NOT_USABLE" });
      expect(await stage.settings()).toEqual(before);
      expect(await stage.server.token()).toBe(token);
      expect(await stage.server.answers()).toBe(true);
      const once = await standing(stage);
      const twice = await stage.call(["undo", "--yes"], { exitCode: 0, code: "NOTHING_TO_DO" });
      expect(notesOf(twice)).toContain("ALREADY_UNDONE");
      expect(await standing(stage)).toEqual(once);
    });
  });

  test("undo after an exchange keeps the new sign-in, and brings the rest back", async () => {
    await onMac({ server: { home: true } }, async (stage) => {
      await stage.call(await withCode(stage), OK);
      const [fresh, after] = [await stage.server.token(), await stage.settings()];
      await stage.server.close();
      await stage.mac.setValues("jane", APPLICATION.bundleId, { FriendlyName: string("Bedroom") });
      await stage.server.start();
      await stage.call(["undo", "--yes"], OK);
      expect(await stage.server.token()).toBe(fresh);
      expect((await stage.settings()).others).toBe(after.others);
      expect(await stage.isHealed()).toBe(true);
    });
  });

  test("a backup keeps the file of the daemon as it is, and a restore brings the domain back to it", async () => {
    await onMac({ server: { state: "signed-in", home: true } }, async (stage) => {
      const before = await stage.settings();
      const token = await stage.server.token();
      const made = await stage.call(["backup", "create"], OK);
      const id = String(made.result["backup"]);
      const kept = stage.pathsBelow(`${stage.stateDirectory()}/backups/${id}`);
      expect(kept).toContain("settings.plist");
      expect(kept).toContain("manifest.json");
      await stage.call(["backup", "verify", id], OK);
      await stage.server.close();
      await stage.mac.setValues("jane", APPLICATION.bundleId, {
        PlexOnlineToken: null,
        FriendlyName: string("Bedroom"),
        Added: integer(1),
      });
      await stage.server.start();
      await stage.call(["backup", "restore", id, "--yes"], OK);
      expect(await stage.settings()).toEqual(before);
      expect(await stage.server.token()).toBe(token);
      expect(await stage.server.answers()).toBe(true);
    });
  });

  test("a server that was found stopped is never started, and healed all the same", async () => {
    await onMac({ running: false }, async (stage) => {
      const before = await stage.settings();
      await stage.call(await withCode(stage), WHILE_STOPPED);
      expect(await stage.server.processes()).toEqual([]);
      expect(await stage.isHealed()).toBe(true);
      expect((await stage.settings()).others).toBe(before.others);
      const started = (await stage.mac.calledWith()).filter(({ tool }) => tool === "open");
      expect(started).toEqual([]);
    });
  });

  test("--keep-stopped leaves a server stopped that ran", async () => {
    await onMac({}, async (stage) => {
      const ended = await stage.call([...(await withCode(stage)), "--keep-stopped"], WHILE_STOPPED);
      expect(await stage.server.processes()).toEqual([]);
      expect(noteOf(ended, "KEPT_STOPPED")["line"]).toMatch(/^open /);
      expect(await stage.isHealed()).toBe(true);
    });
  });

  test.each([
    ["refuses", "STOP_FAILED"],
    ["ignores", "STILL_RUNNING"],
  ] as const)("an application that %s to quit goes on as it is: %s", async (quits, code) => {
    await onMac({ server: { application: { quits } } }, async (stage) => {
      const before = await standing(stage);
      await stage.call(RESET, { exitCode: 4, code }, { haste: 10 });
      expect(await standing(stage)).toEqual(before);
      expect(await stage.server.answers()).toBe(true);
    });
  });

  test("without the consent to quit it, nothing is changed, and the person is told where to click", async () => {
    await onMac({ switches: { consent: "denied" } }, async (stage) => {
      const before = await standing(stage);
      await stage.call(await withCode(stage), { exitCode: 3, code: "AUTOMATION_REFUSED" });
      expect(await standing(stage)).toEqual(before);
      expect(await stage.exchanges()).toBe(0);
    });
  });

  test("when the server does not come up, the settings are put back and it is started with them", async () => {
    await onMac({ server: { home: true } }, async (stage) => {
      const before = await stage.settings();
      const token = await stage.server.token();
      await stage.server.configure({ failStart: "always" });
      const repaired: Promise<void>[] = [];
      const onEvent = (event: Event) => {
        if (event.type === "step" && event.step === "roll-back" && event.phase === "begin")
          repaired.push(stage.server.configure({ failStart: 0 }));
      };
      await stage.call(RESET, { exitCode: 4, code: "START_FAILED" }, { haste: 3, onEvent });
      await Promise.all(repaired);
      expect(repaired).toHaveLength(1);
      expect(await stage.settings()).toEqual(before);
      expect(await stage.server.token()).toBe(token);
      expect(await stage.server.answers()).toBe(true);
    });
  });

  test("by SSH, without root, nobody reaches the desktop: what to type instead is told", async () => {
    await onMac({}, async (stage) => {
      const before = await standing(stage);
      const wanted = { exitCode: 3, code: "DESKTOP_OUT_OF_REACH" };
      const ended = await stage.call(await withCode(stage), wanted, { from: "ssh" });
      expect((ended.result["problem"] as { line: string }).line).toMatch(/^sudo .*plex-reclaim reset/);
      expect(await standing(stage)).toEqual(before);
      expect(await stage.exchanges()).toBe(0);
    });
  });

  test("settings that privacy protection closes are said to be, and nothing is done", async () => {
    await onMac({}, async (stage) => {
      const before = await standing(stage);
      await stage.mac.setSwitches({ closed: ["/Users/jane/Library/Preferences"] });
      await stage.call(await withCode(stage), { exitCode: 3, code: "PRIVACY_PROTECTED" });
      await stage.mac.setSwitches({ closed: [] });
      expect(await standing(stage)).toEqual(before);
      expect(await stage.exchanges()).toBe(0);
    });
  });

  test("a server that an agent of launchd keeps alive is not stopped, and the lines for it are told", async () => {
    await onMac({ server: { startedBy: "keep-alive-agent" } }, async (stage) => {
      const before = await standing(stage);
      const ended = await stage.call(await withCode(stage), { exitCode: 3, code: "KEPT_ALIVE_BY_AGENT" });
      expect(ended.result["problem"]).toMatchObject({
        line: expect.stringContaining("launchctl bootout"),
        backLine: expect.stringContaining("launchctl bootstrap"),
      });
      expect(await standing(stage)).toEqual(before);
      expect(await stage.exchanges()).toBe(0);
    });
  });

  test("a server whose bundle was renamed is stopped, healed and launched from there again", async () => {
    const application = bundleAt("/Applications/Plex Media Server 2.app");
    await onMac({ server: { application, home: true } }, async (stage) => {
      const before = await standing(stage);
      await stage.call(await withCode(stage), OK);
      expect(await stage.isHealed()).toBe(true);
      const after = await standing(stage);
      expect(after.others).toBe(before.others);
      expect(after.processes).toHaveLength(1);
      expect(after.processes).not.toEqual(before.processes);
      const opened = (await stage.mac.calledWith()).filter(({ tool }) => tool === "open");
      expect(new Set(opened.map(({ args }) => args.at(-1)))).toEqual(new Set([application.path]));
    });
  });

  test.each(["number", "error-domains"] as const)(
    "an update that replaces the bundle at the quit is waited for (errors as %s)",
    async (openErrors) => {
      await onMac({ switches: { openErrors } }, async (stage) => {
        const executable = stage.mac.real(APPLICATION.executable);
        const opens = async () => (await stage.mac.calledWith()).filter(({ tool }) => tool === "open").length;
        const before = await opens();
        const updated: Promise<void>[] = [];
        const onEvent = (event: Event) => {
          if (event.type !== "step" || event.step !== "start" || event.phase !== "begin") return;
          renameSync(executable, `${executable}.new`);
          const isRefused = async () => (await opens()) > before + 1;
          updated.push(
            until(isRefused, 60_000, "NOT_TRIED_AGAIN").then(() =>
              renameSync(`${executable}.new`, executable),
            ),
          );
        };
        await stage.call(await withCode(stage), OK, { onEvent });
        await Promise.all(updated);
        expect(updated).toHaveLength(1);
        expect(await stage.isHealed()).toBe(true);
        expect(await stage.server.processes()).toHaveLength(1);
      });
    },
  );

  test("a ps that tells nothing is said as such before anything is touched", async () => {
    await onMac({}, async (stage) => {
      const before = await standing(stage);
      stage.mac.fault({ at: 3, tool: "ps", kind: "fails" });
      const wanted = { exitCode: 3, code: "SYSTEM_CALL_FAILED" };
      const ended = await stage.call(await withCode(stage), wanted);
      expect(ended.result["problem"]).toMatchObject({ what: "ps", path: "/bin/ps", reason: "EXIT_1" });
      expect(await standing(stage)).toEqual(before);
      expect(await stage.exchanges()).toBe(0);
    });
  });

  test("that macOS may ask for a consent is told before it can", async () => {
    await onMac({}, async (stage) => {
      expect(notesOf(await stage.call(RESET, SIGNED_OUT))).toContain("CONSENT_MAY_BE_ASKED");
    });
  });

  test("a Login Item is no obstacle", async () => {
    await onMac({ server: { startedBy: "login-item" } }, async (stage) => {
      await stage.call(await withCode(stage), OK);
      expect(await stage.isHealed()).toBe(true);
    });
  });
});

describe.concurrent("with several accounts", () => {
  const TWO = [{ name: "jane" }, { name: "bob", desktop: true }];

  async function bobs(stage: MacStage): Promise<MacServer> {
    const { mac, plexTv } = stage;
    const server = await mac.installServer({
      plexTv,
      user: "bob",
      owner: { username: "bob", email: "bob@example.com" },
    });
    await server.start();
    return server;
  }

  test("each sees and changes the own server, and root is asked which one", async () => {
    await onMac({ users: TWO }, async (stage) => {
      const bob = await bobs(stage);
      const untouched = await standing(stage, bob);
      expect(serversOf(await stage.call(["status"], OK)).map(({ settings }) => settings)).toEqual([
        stage.server.plist,
      ]);
      const all = serversOf(await stage.call(["status"], OK, { user: "root" }));
      expect(all.map(({ settings }) => settings)).toEqual([bob.plist, stage.server.plist].sort());
      await stage.call(RESET, { exitCode: 3, code: "SEVERAL_SERVERS" }, { user: "root" });
      await stage.call(await withCode(stage), OK);
      expect(await stage.isHealed()).toBe(true);
      expect(await standing(stage, bob)).toEqual(untouched);
    });
  });

  test.each(["desktop", "ssh"] as const)(
    "root, by sudo from the %s, changes the domain of the owner and none of root's own",
    async (from) => {
      await onMac({}, async (stage) => {
        const before = await stage.settings();
        const env = { SUDO_USER: "jane", SUDO_UID: "501" };
        const ended = await stage.call(await withCode(stage, "root"), OK, { user: "root", from, env });
        expect(criteriaOf(ended)).toEqual(MET);
        expect(await stage.isHealed()).toBe(true);
        expect((await stage.settings()).others).toBe(before.others);
        expect((await stage.mac.values("root", APPLICATION.bundleId)).size).toBe(0);
        expect(await stage.server.processes()).toHaveLength(1);
        const kept = stage.pathsBelow("/Library/Application Support/plex-reclaim/backups");
        expect(kept).not.toEqual([]);
        expect(stage.pathsBelow(stage.stateDirectory("jane"))).toEqual([]);
      });
    },
  );

  test("a stranger's server is none of ours: what is needed is said", async () => {
    await onMac({ users: TWO }, async (stage) => {
      const before = await standing(stage);
      const args = ["status", "--settings", stage.server.plist];
      const ended = await stage.call(args, OK, { user: "bob" });
      const told = {
        settings: stage.server.plist,
        state: "unknown",
        reason: "NEEDS_PRIVILEGE",
        account: null,
      };
      expect(serversOf(ended)).toMatchObject([told]);
      expect(await standing(stage)).toEqual(before);
    });
  });
});

describe.concurrent("whichever way an unverified thing of macOS is", () => {
  const OTHER_WAYS: readonly Partial<MacSwitches>[] = [
    { import: "replaces" },
    { writesFile: "at-once", cleanEdit: "noticed" },
    { emptyDomain: "file-removed", exportOfAbsent: "fails" },
    { keyOrder: "sorted", pathDomain: "shared", serverWrites: "changes" },
    { quit: "returns-at-once", openWhileQuitting: "ok-but-nothing" },
    { quit: "connection-breaks", messages: "macos-27", plutilErrors: "stdout" },
    { language: "ru", noDesktop: 125, dsclBlanks: "same-line", psWidth: "unlimited" },
    { openOfDying: "fails", openByRoot: "as-user", eventsOfRoot: "reach", outsideSession: "works" },
  ];

  test.each(OTHER_WAYS)("%j: a reset heals, and undo brings all of it back", async (switches) => {
    for (const name of Object.keys(switches))
      expect(switches[name as keyof MacSwitches]).not.toEqual(DEFAULT_SWITCHES[name as keyof MacSwitches]);
    await onMac({ switches, server: { home: true } }, async (stage) => {
      const before = await stage.settings();
      const old = await stage.server.token();
      expect(criteriaOf(await stage.call(await withCode(stage), OK))).toEqual(MET);
      expect((await stage.settings()).others).toBe(before.others);
      expect(await stage.isHealed()).toBe(true);
      await stage.call(["undo", "--old-sign-in", "--yes"], { exitCode: 6, code: "NOT_USABLE" });
      expect(await stage.settings()).toEqual(before);
      expect(await stage.server.token()).toBe(old);
    });
  });
});

describe.concurrent("a copied property list", () => {
  test("is read and never taken for the live domain", async () => {
    await onMac({}, async (stage) => {
      const before = await standing(stage);
      await stage.mac.flush();
      const copy = "/Users/jane/copy.plist";
      await writeFile(stage.mac.real(copy), await readFile(stage.mac.real(stage.server.plist)), {
        mode: 0o600,
      });
      await stage.mac.own(copy, stage.mac.userNamed("jane"));
      const ended = await stage.call(["status", "--settings", copy], OK);
      expect(serversOf(ended)).toMatchObject([{ settings: copy, install: "settings-file" }]);
      expect(await standing(stage)).toEqual(before);
    });
  });
});
