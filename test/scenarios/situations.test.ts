import { execFileSync } from "node:child_process";
import { chownSync, linkSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { demandLanguage, inBothLanguages, unnamed } from "../support/both-languages.ts";
import { demandEnd, isRoot, notesOf, onStage, type Stage } from "../support/stage.ts";

function standing(stage: Stage) {
  return { settings: stage.settings, process: stage.process };
}

const NOT_TOLD = {
  PLEX_RECLAIM_STOP_COMMAND: null,
  PLEX_RECLAIM_START_COMMAND: null,
  PLEX_RECLAIM_PROCESS_MATCH: null,
};

test.concurrent("a change without a terminal and without --yes is refused, naming the option", async () => {
  await onStage({}, async (stage) => {
    const before = standing(stage);
    const ending = { exitCode: 3, code: "NO_TERMINAL" };
    const asked = await inBothLanguages(stage, ["reset"], ending);
    expect(asked.result["problem"]).toMatchObject({ option: "--yes" });
    const id = "20260101-000000-abcd";
    for (const args of [["claim"], ["undo"], ["backup", "restore", id], ["backup", "delete", id]])
      demandEnd(await stage.json(args), 3, "NO_TERMINAL");
    expect(standing(stage)).toEqual(before);
  });
});

describe.concurrent("status says of a server that it is", () => {
  test.each([
    ["locked-out", "locked-out", "TOKEN_REVOKED", "jane"],
    ["signed-in", "signed-in", "TOKEN_ACCEPTED", "jane"],
    ["signed-out", "signed-out", "NO_TOKEN", null],
    ["empty-token", "signed-out", "EMPTY_TOKEN", null],
  ] as const)("%s: %s", async (laidOut, state, reason, account) => {
    await onStage({ state: laidOut }, async (stage) => {
      const ended = await inBothLanguages(stage, ["status"], { exitCode: 0, code: "OK" });
      expect(ended.result["servers"]).toEqual([
        {
          id: expect.stringMatching(/^[0-9a-f]{8}$/),
          state,
          reason,
          running: true,
          settings: stage.server.settingsPath,
          dataFolder: dirname(stage.server.settingsPath),
          logFolder: join(dirname(stage.server.settingsPath), "Logs"),
          certificateFolder: join(dirname(stage.server.settingsPath), "Cache"),
          install: "running-process",
          service: "command",
          account,
          friendlyName: 'Jane\'s "PlexOnlineToken="x"" & <b>/>',
        },
      ]);
    });
  });

  test("unknown, where plex.tv may not or cannot be asked and nothing else proves it", async () => {
    await onStage({ state: "signed-in" }, async (stage) => {
      const offline = await inBothLanguages(stage, ["status", "--offline"], { exitCode: 0, code: "OK" });
      expect(offline.result["servers"]).toMatchObject([{ state: "unknown", reason: "PLEXTV_NOT_ASKED" }]);
      await stage.plexTv.down();
      const down = await inBothLanguages(stage, ["status"], { exitCode: 0, code: "OK" });
      expect(down.result["servers"]).toMatchObject([{ state: "unknown", reason: "PLEXTV_UNREACHABLE" }]);
      demandEnd(await stage.json(["reset", "--yes"]), 3, "PLEXTV_UNREACHABLE");
    });
  });

  test("the one that was asked for, and no other", async () => {
    await onStage({ running: false }, async (stage) => {
      const seen = await stage.json(["status"]);
      const [server] = seen.result["servers"] as { id: string }[];
      demandEnd(await stage.json(["status", "--server", server?.id ?? ""]), 0, "OK");
      for (const command of ["status", "verify", "reset"]) {
        const args = [command, "--server", "00000000", ...(command === "reset" ? ["--yes"] : [])];
        const ended = await stage.json(args);
        demandEnd(ended, 3, "SERVER_NOT_FOUND");
        expect(ended.result["problem"]).toMatchObject({ ids: [server?.id] });
      }
      const args = ["verify", "--server", "00000000"];
      await inBothLanguages(stage, args, { exitCode: 3, code: "SERVER_NOT_FOUND" });
    });
  });
});

describe.concurrent("verify", () => {
  test("is met on a server that works", async () => {
    await onStage({ state: "signed-in" }, async (stage) => {
      const ended = await inBothLanguages(stage, ["verify"], { exitCode: 0, code: "OK" });
      const criteria = ended.result["criteria"] as { name: string; result: string }[];
      expect(criteria.map(({ name, result }) => `${name} ${result}`)).toEqual([
        "reachable met",
        "account met",
        "logs met",
      ]);
    });
  });

  test.each([
    ["locked-out", true, "not-met"],
    ["signed-out", true, "not-met"],
    ["signed-in", false, "cannot-tell"],
  ] as const)("ends with 6 on a server that is %s (running: %s)", async (state, running, result) => {
    await onStage({ state, running }, async (stage) => {
      const words = await stage.run(["verify", "--lang", "ru"]);
      demandEnd(words, 6);
      const ended = await stage.json(["verify"]);
      demandEnd(ended, 6);
      expect((ended.result["criteria"] as { result: string }[])[1]?.result).toBe(result);
    });
  });
});

describe.concurrent("there is nothing to do", () => {
  test("for claim on a server that is signed in; the code is not sent", async () => {
    await onStage({ state: "signed-in" }, async (stage) => {
      const before = standing(stage);
      const args = ["claim", "--yes", "--claim-code-file", await stage.codeFile()];
      const ended = await inBothLanguages(stage, args, { exitCode: 0, code: "NOTHING_TO_DO" });
      expect(notesOf(ended)).toContain("ALREADY_SIGNED_IN");
      expect(await stage.exchanges()).toBe(0);
      expect(standing(stage)).toEqual(before);
    });
  });

  test.each(["signed-out", "empty-token"] as const)(
    "for reset without a code on one that is %s",
    async (state) => {
      await onStage({ state }, async (stage) => {
        const before = standing(stage);
        const ended = await inBothLanguages(stage, ["reset", "--yes"], {
          exitCode: 0,
          code: "NOTHING_TO_DO",
        });
        expect(notesOf(ended)).toContain("ALREADY_SIGNED_OUT");
        const ways = ended.result["signInWays"] as { way: string }[];
        expect(ways.map(({ way }) => way)).toEqual(["claim-command", "local-browser", "ssh-tunnel"]);
        expect(standing(stage)).toEqual(before);
      });
    },
  );
});

describe.concurrent("nothing is changed by", () => {
  test("reset --yes on a server that works", async () => {
    await onStage({ state: "signed-in" }, async (stage) => {
      const before = standing(stage);
      await inBothLanguages(stage, ["reset", "--yes"], { exitCode: 3, code: "NOT_LOCKED_OUT" });
      expect(standing(stage)).toEqual(before);
    });
  });

  test("claim on a server that is locked out, which names reset", async () => {
    await onStage({}, async (stage) => {
      const before = standing(stage);
      const args = ["claim", "--yes", "--claim-code-file", await stage.codeFile()];
      await inBothLanguages(stage, args, { exitCode: 3, code: "LOCKED_OUT_NEEDS_RESET" });
      const words = await stage.run([...args, "--lang", "en"]);
      expect(words.stderr).toContain("plex-reclaim reset");
      expect(await stage.exchanges()).toBe(0);
      expect(standing(stage)).toEqual(before);
    });
  });

  test("claim --yes without a code", async () => {
    await onStage({ state: "signed-out" }, async (stage) => {
      const before = standing(stage);
      const ended = await inBothLanguages(stage, ["claim", "--yes"], { exitCode: 3, code: "NO_TERMINAL" });
      expect(ended.result["problem"]).toMatchObject({ option: "--claim-code-file" });
      expect(standing(stage)).toEqual(before);
    });
  });

  test("a reset of a running server that cannot be stopped, or not started again", async () => {
    await onStage({}, async (stage) => {
      const before = standing(stage);
      const ending = { exitCode: 3, code: "NO_WAY_TO_STOP" };
      const none = await inBothLanguages(stage, ["reset", "--yes"], ending, { env: NOT_TOLD });
      expect(none.result["problem"]).toMatchObject({ reason: "no-service" });
      const env = { PLEX_RECLAIM_START_COMMAND: null };
      const half = await inBothLanguages(stage, ["reset", "--yes"], ending, { env });
      expect(half.result["problem"]).toMatchObject({ reason: "no-start-command" });
      expect(standing(stage)).toEqual(before);
    });
  });
});

describe.concurrent("settings that are", () => {
  const HEADER = '<?xml version="1.0" encoding="utf-8"?>\n';
  const MALFORMED = {
    truncated: (whole: string) => whole.slice(0, whole.length / 2),
    doctype: (whole: string) => whole.replace("<Preferences", "<!DOCTYPE Preferences>\n<Preferences"),
    utf16: (whole: string) => Buffer.from(`\uFEFF${whole}`, "utf16le"),
    "duplicate-attribute": (whole: string) =>
      whole.replace(" AcceptedEULA", ' AcceptedEULA="0" AcceptedEULA'),
    "wrong-root": () => `${HEADER}<Settings MachineIdentifier="x"/>\n`,
    "several-roots": (whole: string) => `${whole}<Preferences/>\n`,
    "too-large": (whole: string) =>
      whole.replace(" AcceptedEULA", ` Long="${"x".repeat(1_100_000)}" AcceptedEULA`),
    syntax: (whole: string) => whole.replace('AcceptedEULA="1"', "AcceptedEULA=1"),
  } satisfies Record<string, (whole: string) => string | Buffer>;

  test("malformed are of an unknown state with the reason, and are never edited", async () => {
    await onStage({ running: false }, async (stage) => {
      const whole = stage.settings;
      for (const [reason, spoil] of Object.entries(MALFORMED)) {
        writeFileSync(stage.server.settingsPath, spoil(whole));
        const before = stage.settings;
        const seen = await stage.json(["status"]);
        demandEnd(seen, 0, "OK");
        expect(seen.result["servers"]).toMatchObject([
          { state: "unknown", reason: "SETTINGS_MALFORMED", detail: reason },
        ]);
        const ended = await stage.json(["reset", "--yes"]);
        demandEnd(ended, 3, "SETTINGS_MALFORMED");
        expect(ended.result["problem"]).toMatchObject({ reason });
        expect(stage.settings === before).toBe(true);
      }
      await inBothLanguages(stage, ["reset", "--yes"], { exitCode: 3, code: "SETTINGS_MALFORMED" });
      await inBothLanguages(stage, ["status"], { exitCode: 0, code: "OK" });
    });
  });

  type Lay = (stage: Stage) => void;

  const TRAPS: Record<string, Lay> = {
    "hard-link": ({ server, folder }) => linkSync(server.settingsPath, join(folder, "second-name")),
    "not-regular": ({ server }) => {
      rmSync(server.settingsPath);
      execFileSync("mkfifo", [server.settingsPath]);
    },
    "link-target": ({ server, folder }) => {
      rmSync(server.settingsPath);
      mkdirSync(join(folder, "a-folder"));
      symlinkSync(join(folder, "a-folder"), server.settingsPath);
    },
  };
  const FOREIGN: [string, Lay] = [
    "foreign-owner",
    ({ server }) => chownSync(server.settingsPath, 12_345, 12_345),
  ];

  test.each([...Object.entries(TRAPS), ...(isRoot() ? [FOREIGN] : [])])(
    "a trap (%s) are refused",
    async (reason, lay) => {
      await onStage({ running: false }, async (stage) => {
        lay(stage);
        const seen = await stage.json(["status"]);
        expect(seen.result["servers"]).toMatchObject([
          { state: "unknown", reason: "SETTINGS_UNSAFE", detail: reason },
        ]);
        const ending = { exitCode: 3, code: "SETTINGS_UNSAFE" };
        const ended = await inBothLanguages(stage, ["reset", "--yes"], ending);
        expect(ended.result["problem"]).toMatchObject({ reason });
      });
    },
  );
});

test.concurrent("neither the language nor colour changes the JSON, and nothing but JSON is on standard output", async () => {
  await onStage({}, async (stage) => {
    const calls = [
      ["status"],
      ["verify"],
      ["reset"],
      ["reset", "--dry-run"],
      ["claim", "--yes", "--claim-code-file", await stage.codeFile()],
      ["backup", "list"],
      ["undo", "--yes"],
      ["no-such-command"],
    ];
    for (const args of calls) {
      const plain = await stage.json([...args, "--lang", "en"], { env: { NO_COLOR: "1" } });
      const env = { FORCE_COLOR: "1", LANG: "ru_RU.UTF-8", TERM: "xterm-256color" };
      const coloured = await stage.json([...args, "--lang", "ru"], { env });
      expect(unnamed(stage, coloured)).toEqual(unnamed(stage, plain));
      expect(coloured.exitCode).toBe(plain.exitCode);
      expect(coloured.result["type"]).toBe("result");
      expect(coloured.stderr).toBe("");
    }
  });
});

test.concurrent("results are on standard output, progress on standard error", async () => {
  await onStage({ state: "signed-in" }, async (stage) => {
    const ended = await stage.run([
      "reset",
      "--yes",
      "--lang",
      "en",
      "--claim-code-file",
      await stage.codeFile(),
    ]);
    demandEnd(ended, 0);
    for (const text of ["Stopping the server", "The plan:"]) {
      expect(ended.stderr).toContain(text);
      expect(ended.stdout).not.toContain(text);
    }
    expect(ended.stdout).toContain("Done: the server is signed in again.");
    expect(ended.stderr).not.toContain("Done: the server is signed in again.");
  });
});

describe.concurrent("the demonstration ends well and leaves nothing behind", () => {
  test.each([["en"], ["ru"], ["json"]] as const)("%s", async (form) => {
    await onStage({ running: false }, async (stage) => {
      const TMPDIR = join(stage.folder, "tmp");
      mkdirSync(TMPDIR);
      const told = Object.fromEntries(Object.keys(stage.twins).map((name) => [name, null]));
      const ended = await stage.run(["demo", ...(form === "json" ? ["--json"] : ["--lang", form])], {
        env: { ...told, TMPDIR },
      });
      demandEnd(ended, 0);
      if (form === "json") expect(ended.result).toMatchObject({ command: "demo", code: "OK" });
      else demandLanguage(ended.stdout + ended.stderr, form);
      expect(readdirSync(TMPDIR)).toEqual([]);
    });
  });
});
