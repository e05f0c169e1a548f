import { lstatSync, readdirSync, readFileSync, renameSync, symlinkSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parsePreferences } from "../../src/standins/preferences.ts";
import { playInBothLanguages, playInWords } from "../support/both-languages.ts";
import {
  demandEnd,
  eventually,
  exists,
  noteOf,
  notesOf,
  onStage,
  type Stage,
  tokenIn,
} from "../support/stage.ts";

/** Every setting but the four and the counter that the server itself moves, in their order. */
function others(settings: string): [string, string][] {
  const all = parsePreferences(Buffer.from(settings)) ?? new Map<string, string>();
  return [...all].filter(
    ([name]) => !/^PlexOnline(?:Token|Username|Mail|Home)$|^PubSubServerPing$/.test(name),
  );
}

async function reset() {
  return { args: ["reset", "--yes"] };
}

async function resetWithCode(stage: Stage) {
  return { args: ["reset", "--yes", "--claim-code-file", await stage.codeFile()] };
}

async function claimWithCode(stage: Stage) {
  return { args: ["claim", "--yes", "--claim-code-file", await stage.codeFile()] };
}

const NO_COMMANDS = {
  PLEX_RECLAIM_STOP_COMMAND: null,
  PLEX_RECLAIM_START_COMMAND: null,
  PLEX_RECLAIM_PROCESS_MATCH: null,
};

describe.concurrent("a locked-out server", () => {
  test("is healed by reset with a claim code", async () => {
    await playInBothLanguages({
      stage: { settings: { home: true } },
      call: resetWithCode,
      ending: { exitCode: 0, code: "OK" },
      async after(stage, ended) {
        expect(await stage.isHealed()).toBe(true);
        expect(await stage.server.answers()).toBe(true);
        expect(stage.settings).not.toContain(" PlexOnlineHome=");
        expect(lstatSync(stage.server.settingsPath).mode & 0o7777).toBe(0o600);
        if (ended.lines.length === 0) return;
        expect(ended.result).toMatchObject({
          ownerChanged: false,
          server: expect.any(String),
          run: expect.any(String),
        });
        const criteria = ended.result["criteria"] as { result: string }[];
        expect(criteria.map(({ result }) => result)).toEqual(["met", "met", "met"]);
      },
    });
  });

  test("is signed out by reset without a code: it runs, and every way to sign in is told", async () => {
    await playInBothLanguages({
      stage: {},
      call: reset,
      ending: { exitCode: 0, code: "SIGNED_OUT" },
      async after(stage, ended) {
        expect(stage.settings).not.toMatch(/ PlexOnline(?:Token|Username|Mail|Home)=/);
        expect(await stage.server.answers()).toBe(true);
        const { port } = new URL(stage.server.url);
        for (const way of [" claim", `http://127.0.0.1:${port}/web`, `ssh -L 8888:127.0.0.1:${port} `])
          expect(ended.stdout).toContain(way);
      },
    });
  });

  test("keeps every other setting, and nothing is left lying in its folder", async () => {
    await onStage(
      { settings: { home: true, others: { LastAutomaticMappedPort: "0", ButlerTaskX: "a\n&<>'" } } },
      async (stage) => {
        const before = others(stage.settings);
        const entries = readdirSync(stage.server.dataFolder).sort();
        demandEnd(await stage.json((await resetWithCode(stage)).args), 0, "OK");
        expect(others(stage.settings)).toEqual(before);
        expect(readdirSync(stage.server.dataFolder).sort()).toEqual(entries);
      },
    );
  });

  test("is healed for an owner whose name and address hold any character", async () => {
    const owner = { username: `O'Hara "<&>" Ünï 名 ${"\u{1F600}"}`, email: 'o\'hara+"x"&y@example.com' };
    await onStage({ owner }, async (stage) => {
      const ended = await stage.json((await resetWithCode(stage)).args);
      demandEnd(ended, 0, "OK");
      const settings = parsePreferences(Buffer.from(stage.settings));
      expect(settings?.get("PlexOnlineUsername")).toBe(owner.username);
      expect(settings?.get("PlexOnlineMail")).toBe(owner.email);
    });
  });

  test("is not for claim, which names reset", async () => {
    await onStage({}, async (stage) => {
      const before = stage.process;
      const ended = await stage.run((await claimWithCode(stage)).args);
      demandEnd(ended, 3);
      expect(ended.stderr).toContain("LOCKED_OUT_NEEDS_RESET");
      expect(ended.stderr).toContain("plex-reclaim reset");
      expect([stage.process, await stage.exchanges()]).toEqual([before, 0]);
    });
  });

  test("that answers 503 for a while after its start is waited for", async () => {
    await onStage({ behaviour: { maintenanceMs: 1_000 } }, async (stage) => {
      demandEnd(await stage.json((await resetWithCode(stage)).args), 0, "OK");
      expect(await stage.isHealed()).toBe(true);
    });
  });

  test("whose new sign-in dies on the way is changed and not usable: exit 6", async () => {
    await playInWords({
      stage: { behaviour: { stopMs: 1_500 } },
      async call(stage) {
        const { args } = await resetWithCode(stage);
        // Once the exchange is through, the owner signs out everywhere again.
        void eventually(async () => (await stage.exchanges()) > 0, "an exchange").then(() =>
          stage.server.lockOut(),
        );
        return { args };
      },
      ending: { exitCode: 6, code: "NOT_USABLE" },
      async after(stage, ended) {
        expect(stage.server.running).toBe(true);
        if (ended.lines.length > 0) expect(ended.result["state"]).toBe("changed");
      },
    });
  });
});

describe.concurrent("a signed-out server", () => {
  test("is signed in by claim", async () => {
    await playInBothLanguages({
      stage: { state: "empty-token" },
      call: claimWithCode,
      ending: { exitCode: 0, code: "OK" },
      async after(stage) {
        expect(await stage.isHealed()).toBe(true);
        expect(stage.settings.match(/ PlexOnlineToken=/g)).toHaveLength(1);
        expect(await stage.server.answers()).toBe(true);
      },
    });
  });

  test("without any of the four values is signed in by claim, too", async () => {
    await onStage({ state: "signed-out" }, async (stage) => {
      demandEnd(await stage.json((await claimWithCode(stage)).args), 0, "OK");
      expect(await stage.isHealed()).toBe(true);
    });
  });

  test("is signed in by reset with a code", async () => {
    await onStage({ state: "signed-out" }, async (stage) => {
      demandEnd(await stage.json((await resetWithCode(stage)).args), 0, "OK");
      expect(await stage.isHealed()).toBe(true);
    });
  });
});

describe.concurrent("a server that works", () => {
  test("gets a new sign-in by reset with a code and --yes, and the old one is dead", async () => {
    await onStage({ state: "signed-in" }, async (stage) => {
      const old = stage.token ?? "";
      demandEnd(await stage.json((await resetWithCode(stage)).args), 0, "OK");
      expect(await stage.isHealed()).toBe(true);
      expect(stage.token).not.toBe(old);
      expect(await stage.plexTv.isTokenValid(old)).toBe(false);
    });
  });
});

describe.concurrent("a server that is found stopped", () => {
  test.each([
    ["a code", resetWithCode],
    ["no code", reset],
  ] as const)("is edited with %s and left stopped; whether it is usable cannot be told", async (_, call) => {
    await playInWords({
      stage: { running: false },
      call,
      ending: { exitCode: 0, code: "EDITED_WHILE_STOPPED" },
      async after(stage, ended) {
        expect(stage.server.running).toBe(false);
        if (ended.lines.length === 0) {
          expect(ended.stderr).toContain(stage.server.startLine);
          return;
        }
        const criteria = ended.result["criteria"] as { result: string }[];
        expect(criteria.map(({ result }) => result)).toEqual(["cannot-tell", "cannot-tell", "cannot-tell"]);
        expect(noteOf(ended, "FOUND_STOPPED")["line"]).toBe(stage.server.startLine);
        await stage.server.start();
        demandEnd(await stage.json(["verify"]), call === reset ? 6 : 0);
      },
    });
  });
});

test.concurrent("--keep-stopped leaves a server stopped that ran, and says how to start it", async () => {
  await playInWords({
    stage: {},
    async call(stage) {
      const { args } = await resetWithCode(stage);
      return { args: [...args, "--keep-stopped"] };
    },
    ending: { exitCode: 0, code: "EDITED_WHILE_STOPPED" },
    async after(stage, ended) {
      expect(stage.server.running).toBe(false);
      expect(await stage.isHealed()).toBe(true);
      if (ended.lines.length === 0) expect(ended.stderr).toContain(stage.server.startLine);
      else expect(noteOf(ended, "KEPT_STOPPED")["line"]).toBe(stage.server.startLine);
    },
  });
});

describe.concurrent("a settings file that no running server uses, named without commands", () => {
  test("is edited, and nothing is stopped, started or verified", async () => {
    await playInWords({
      stage: { running: false },
      async call(stage) {
        const { args } = await resetWithCode(stage);
        return { args, options: { env: NO_COMMANDS } };
      },
      ending: { exitCode: 0, code: "FILE_EDITED" },
      async after(stage) {
        expect(await stage.isHealed()).toBe(true);
        expect(stage.server.running).toBe(false);
      },
    });
  });

  test("may be a link: the file that it leads to is replaced, and the link stays", async () => {
    await onStage({ running: false }, async (stage) => {
      const { settingsPath } = stage.server;
      const elsewhere = join(stage.folder, "elsewhere");
      await mkdir(elsewhere);
      const target = join(elsewhere, "Preferences.xml");
      renameSync(settingsPath, target);
      symlinkSync(target, settingsPath);
      const ended = await stage.json((await resetWithCode(stage)).args, { env: NO_COMMANDS });
      demandEnd(ended, 0, "FILE_EDITED");
      expect(noteOf(ended, "SETTINGS_LINK_FOLLOWED")).toMatchObject({ path: settingsPath, target });
      expect(lstatSync(settingsPath).isSymbolicLink()).toBe(true);
      expect(await stage.plexTv.isTokenValid(tokenIn(readFileSync(target, "utf8")) ?? "")).toBe(true);
      expect(readdirSync(elsewhere)).toEqual(["Preferences.xml"]);
    });
  });
});

describe.concurrent("a code of another account", () => {
  test("changes the owner with --yes, and the result says so", async () => {
    await onStage({}, async (stage) => {
      await stage.plexTv.addAccount("bob", "bob@example.com");
      const args = ["reset", "--yes", "--claim-code-file", await stage.codeFile("bob")];
      const ended = await stage.json(args);
      demandEnd(ended, 0, "OK");
      expect(stage.settings).toContain(' PlexOnlineUsername="bob"');
      expect(noteOf(ended, "OWNER_CHANGES")).toMatchObject({ from: "jane", to: "bob" });
      expect(ended.result["ownerChanged"]).toBe(true);
    });
  });

  test("is refused where --expect-account names another one: exit 4, nothing written, the device signed out", async () => {
    await playInBothLanguages({
      stage: {},
      async call(stage) {
        await stage.plexTv.addAccount("bob", "bob@example.com");
        await stage.plexTv.forgetRequests();
        const code = await stage.codeFile("bob");
        await writeFile(join(stage.folder, "found"), `${stage.process}`);
        return { args: ["reset", "--yes", "--expect-account", "jane", "--claim-code-file", code] };
      },
      ending: { exitCode: 4, code: "WRONG_ACCOUNT" },
      async after(stage, ended) {
        expect(stage.process).toBe(readFileSync(join(stage.folder, "found"), "utf8"));
        expect(stage.settings).toContain(' PlexOnlineUsername="jane"');
        const seen = await stage.plexTv.requests();
        expect(seen.find(({ path }) => path === "/api/v2/users/signout")?.status).toBe(204);
        expect(readdirSync(join(stage.stateDirectory, "parked"))).toEqual([]);
        if (ended.lines.length > 0)
          expect(ended.result).toMatchObject({ problem: { signedOut: "yes" }, state: "nothing-changed" });
      },
    });
  });

  test("is not meant by the right e-mail address in another case", async () => {
    await onStage({}, async (stage) => {
      const { args } = await resetWithCode(stage);
      demandEnd(await stage.json([...args, "--expect-account", "JANE@example.COM"]), 0, "OK");
    });
  });
});

describe.concurrent("what is printed to be typed works when it is typed", () => {
  test("the line that takes a reset back, with every option given as an option", async () => {
    await onStage({}, async (stage) => {
      const before = stage.settings.replace(/PubSubServerPing="\d+"/, "");
      const given = asOptions(stage);
      const ended = await stage.json(["reset", "--yes", ...given.args], { env: given.env });
      demandEnd(ended, 0, "SIGNED_OUT");
      const typed = await stage.type(`${ended.result["undoLine"]} --yes --json`);
      expect(typed.exitCode, typed.stdout).toBe(6);
      expect(stage.settings.replace(/PubSubServerPing="\d+"/, "")).toBe(before);
    });
  });

  test("the line that signs the server in, with every option given as an option", async () => {
    await onStage({}, async (stage) => {
      const given = asOptions(stage);
      const ended = await stage.json(["reset", "--yes", ...given.args], { env: given.env });
      const ways = ended.result["signInWays"] as { way: string; line: string }[];
      const line = ways.find(({ way }) => way === "claim-command")?.line;
      const typed = await stage.type(`${line} --yes --json --claim-code-file ${await stage.codeFile()}`);
      expect(typed.exitCode, typed.stdout).toBe(0);
      expect(await stage.isHealed()).toBe(true);
    });
  });
});

/** The twins as options: nothing of them is left in the environment but what has no option. */
function asOptions(stage: Stage) {
  const { PLEX_RECLAIM_PLEXTV_URL, ...twins } = stage.twins;
  const args = Object.entries(twins).flatMap(([name, value]) => [
    `--${name.slice("PLEX_RECLAIM_".length).toLowerCase().replaceAll("_", "-")}`,
    value,
  ]);
  return { args, env: Object.fromEntries(Object.keys(twins).map((name) => [name, null])) };
}

test.concurrent("an older settings file in the way of nothing is never made: no state outside the state directory", async () => {
  await onStage({}, async (stage) => {
    const ended = await stage.json((await resetWithCode(stage)).args);
    demandEnd(ended, 0, "OK");
    expect(exists(join(stage.folder, "home"))).toBe(false);
    expect(notesOf(ended)).not.toContain("ROLL_BACK_PROBLEM");
    expect(readdirSync(stage.stateDirectory).sort()).toEqual([
      "backups",
      "exchanges.jsonl",
      "parked",
      "runs",
    ]);
    expect(readdirSync(join(stage.stateDirectory, "parked"))).toEqual([]);
  });
});
