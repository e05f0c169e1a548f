import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { demandLanguage } from "../support/both-languages.ts";
import { slowPlexTv } from "../support/slow-plex-tv.ts";
import {
  demandEnd,
  type Ended,
  eventually,
  exists,
  noteOf,
  notesOf,
  onStage,
  type Performance,
  type Stage,
} from "../support/stage.ts";

/** A server that needs long enough for its stop and its start to be met in the middle of them. */
const SLOW = { behaviour: { startMs: 800, stopMs: 800 } };

type Cut = (run: Performance) => void;

const CUTS: Record<string, Cut> = {
  "Ctrl-C": (run) => run.kill("SIGINT"),
  termination: (run) => run.kill("SIGTERM"),
  "a hang-up": (run) => run.kill("SIGHUP"),
};

/** What stands in the settings but for the counter that the server moves by itself. */
function steady(settings: string): string {
  return settings.replace(/PubSubServerPing="\d+"/, "");
}

function parked(stage: Stage): string | null {
  try {
    const [name] = readdirSync(join(stage.stateDirectory, "parked"));
    if (name === undefined) return null;
    const text = readFileSync(join(stage.stateDirectory, "parked", name), "utf8");
    return (JSON.parse(text) as { token: string }).token;
  } catch {
    return null;
  }
}

/** No run is left open, the server answers, and its process is there to stay. */
async function demandSettled(stage: Stage): Promise<void> {
  const runs = join(stage.stateDirectory, "runs");
  for (const run of readdirSync(runs))
    expect(readFileSync(join(runs, run, "journal.jsonl"), "utf8")).toContain('{"kind":"settled"');
  expect(await stage.server.answers()).toBe(true);
  const before = stage.process;
  // A stop that was asked for and never waited out would come now.
  await new Promise((wake) => setTimeout(wake, 1_000));
  expect(stage.process, "the server runs on").toBe(before);
}

/** What the next changing command makes of it: no code is asked for again. */
async function demandParkedAreUsed(stage: Stage): Promise<void> {
  const sent = await stage.exchanges();
  const next = await stage.json(["reset", "--yes"]);
  demandEnd(next, 0, "OK");
  expect(noteOf(next, "CREDENTIALS_FROM_PARKED")["username"]).toBe("jane");
  expect(await stage.isHealed()).toBe(true);
  expect(await stage.exchanges()).toBe(sent);
  expect(parked(stage)).toBeNull();
}

function demandInterrupted(ended: Ended, expected: object): void {
  demandEnd(ended, 130, "INTERRUPTED");
  expect(ended.result).toMatchObject(expected);
}

for (const [cut, meet] of Object.entries(CUTS)) {
  describe.concurrent(cut, () => {
    test("while the server stops, without a code: the server is as it was found", async () => {
      await onStage(SLOW, async (stage) => {
        const before = steady(stage.settings);
        const run = stage.begin(["reset", "--yes", "--json"]);
        await run.reached("stop");
        meet(run);
        demandInterrupted(await run.end(), { state: "put-back", credentials: "none" });
        expect(steady(stage.settings)).toBe(before);
        await demandSettled(stage);
      });
    });

    test("while the server starts, without a code: the old settings are back", async () => {
      await onStage(SLOW, async (stage) => {
        const before = steady(stage.settings);
        const run = stage.begin(["reset", "--yes", "--json"]);
        await run.reached("start");
        meet(run);
        demandInterrupted(await run.end(), { state: "put-back", credentials: "none" });
        expect(steady(stage.settings)).toBe(before);
        await demandSettled(stage);
      });
    });

    test("while the code is exchanged: the answer is waited for, kept, and written by the next command", async () => {
      await onStage(SLOW, async (stage) => {
        const before = { settings: stage.settings, process: stage.process };
        const slow = await slowPlexTv(stage.plexTv.url);
        try {
          const args = ["reset", "--yes", "--json", "--claim-code-file", await stage.codeFile()];
          const run = stage.begin(args, { env: { PLEX_RECLAIM_PLEXTV_URL: slow.url } });
          await slow.holds;
          meet(run);
          await run.printed("INTERRUPT_SEEN");
          slow.letGo();
          demandInterrupted(await run.end(), { state: "put-back", credentials: "parked" });
        } finally {
          slow.close();
        }
        expect({ settings: stage.settings, process: stage.process }).toEqual(before);
        expect(await stage.plexTv.isTokenValid(parked(stage) ?? "")).toBe(true);
        if (cut !== "Ctrl-C") return;
        expect(notesOf(await stage.json(["status"]))).toContain("PARKED_CREDENTIALS");
        await demandParkedAreUsed(stage);
      });
    });
  });
}

describe.concurrent("Ctrl-C", () => {
  test.each(["detect", "preflight"])(
    "at the step %s: nothing was changed, nothing was sent",
    async (step) => {
      await onStage({}, async (stage) => {
        const before = { settings: stage.settings, process: stage.process };
        const run = stage.begin(["reset", "--yes", "--json", "--claim-code-file", await stage.codeFile()]);
        await run.reached(step);
        run.kill("SIGINT");
        demandInterrupted(await run.end(), { state: "nothing-changed" });
        expect({ settings: stage.settings, process: stage.process }).toEqual(before);
        expect(await stage.exchanges()).toBe(0);
      });
    },
  );

  test("before the code is sent: nothing was changed, and the code is as good as before", async () => {
    await onStage({}, async (stage) => {
      const before = { settings: stage.settings, process: stage.process };
      await stage.plexTv.setMode({ kind: "rate-limited", retryAfter: 30 });
      const code = await stage.codeFile();
      const run = stage.begin(["reset", "--yes", "--json", "--claim-code-file", code]);
      await run.printed("WAITING_FOR_PLEXTV");
      run.kill("SIGINT");
      demandInterrupted(await run.end(), { state: "nothing-changed" });
      expect({ settings: stage.settings, process: stage.process }).toEqual(before);
      await stage.plexTv.setMode({ kind: "normal" });
      demandEnd(await stage.json(["reset", "--yes", "--claim-code-file", code]), 0, "OK");
    });
  });

  test.each(["stop", "edit", "start"])(
    "at the step %s after an exchange: the new sign-in is parked or written, the rest is as it was",
    async (step) => {
      await onStage(SLOW, async (stage) => {
        const before = steady(stage.settings).replaceAll(/ PlexOnline\w+="[^"]*"/g, "");
        const run = stage.begin(["reset", "--yes", "--json", "--claim-code-file", await stage.codeFile()]);
        await run.reached(step);
        run.kill("SIGINT");
        const ended = await run.end();
        // A signal may arrive when the short steps are over; then it meets the start.
        expect([ended.exitCode, ended.result["code"], ended.result["state"]]).toEqual([
          130,
          "INTERRUPTED",
          "put-back",
        ]);
        const isParked = ended.result["credentials"] === "parked";
        if (step === "stop") expect(isParked).toBe(true);
        if (step === "start") expect(isParked).toBe(false);
        expect(await stage.plexTv.isTokenValid((isParked ? parked(stage) : stage.token) ?? "")).toBe(true);
        expect(steady(stage.settings).replaceAll(/ PlexOnline\w+="[^"]*"/g, "")).toBe(before);
        await demandSettled(stage);
        if (isParked) await demandParkedAreUsed(stage);
        else demandEnd(await stage.json(["verify"]), 0, "OK");
      });
    },
  );

  test("while the result is verified: the change is through, and the code says how the server is", async () => {
    await onStage({}, async (stage) => {
      await stage.server.configure({ forbidden: true });
      const run = stage.begin(["reset", "--yes", "--json", "--claim-code-file", await stage.codeFile()]);
      await run.reached("verify");
      run.kill("SIGINT");
      const ended = await run.end();
      demandEnd(ended, 6);
      expect(ended.result["state"]).toBe("changed");
      expect(await stage.isHealed()).toBe(true);
      await demandSettled(stage);
    });
  });

  test.each(["en", "ru"] as const)(
    "is answered in words, and typed twice it does no harm (%s)",
    async (language) => {
      await onStage(SLOW, async (stage) => {
        const before = steady(stage.settings);
        const run = stage.begin(["reset", "--yes", "--lang", language]);
        await eventually(() => stage.server.processes().length === 0, "a stopped server");
        run.kill("SIGINT");
        run.kill("SIGINT");
        const ended = await run.end();
        demandEnd(ended, 130);
        demandLanguage(ended.stdout + ended.stderr, language);
        expect(ended.stderr).toContain("(INTERRUPTED)");
        expect(steady(stage.settings)).toBe(before);
        await demandSettled(stage);
      });
    },
  );

  test("at the terminal does not hit the commands of the user", async () => {
    await onStage({ behaviour: { startMs: 100, stopMs: 100 } }, async (stage) => {
      const before = steady(stage.settings);
      const done = join(stage.folder, "the-stop-command-went-through");
      const stop = `sleep 1; ${stage.server.stopLine}; : >'${done}'`;
      const run = stage.atTerminal(["reset", "--yes", "--lang", "en"], {
        env: { PLEX_RECLAIM_STOP_COMMAND: stop },
      });
      await run.printed("Stopping the server");
      run.type("\u0003");
      demandEnd(await run.end(), 130);
      expect(readFileSync(done, "utf8")).toBe("");
      expect(steady(stage.settings)).toBe(before);
      await demandSettled(stage);
    });
  });

  test("a terminal that goes away in the middle (a dropped SSH line) leaves a settled server", async () => {
    await onStage(SLOW, async (stage) => {
      const before = steady(stage.settings);
      const run = stage.atTerminal(["reset", "--yes", "--lang", "en"]);
      await run.printed("Stopping the server");
      run.kill("SIGKILL");
      await run.end();
      // The program goes on without a terminal: it is done when its lock is free.
      await eventually(async () => {
        const next = await stage.json(["backup", "restore", "20200101-000000-0000", "--yes"]);
        return next.result["code"] === "BACKUP_NOT_FOUND";
      }, "the end of a run without a terminal");
      expect(steady(stage.settings)).toBe(before);
      await demandSettled(stage);
    });
  });
});

/** Noticed when the next line is written: nobody is told anything any more, and the server is settled all the same. */
describe.concurrent("a closed output", () => {
  test.each(["json", "text"])("while the server stops: it is as it was found (%s)", async (format) => {
    await onStage(SLOW, async (stage) => {
      const before = steady(stage.settings);
      const run = stage.begin(["reset", "--yes", ...(format === "json" ? ["--json"] : ["--lang", "en"])]);
      await run.printed(format === "json" ? '"step":"stop"' : "Stopping the server");
      run.closeOutput();
      expect((await run.end()).exitCode).toBe(130);
      expect(steady(stage.settings)).toBe(before);
      await demandSettled(stage);
    });
  });

  test("while the server starts: the change is through", async () => {
    await onStage(SLOW, async (stage) => {
      const run = stage.begin(["reset", "--yes", "--json"]);
      await run.reached("start");
      run.closeOutput();
      expect((await run.end()).exitCode).toBe(0);
      expect(stage.token).toBeNull();
      await demandSettled(stage);
    });
  });

  test("while the code is exchanged: the new sign-in is kept, and the next command writes it", async () => {
    await onStage(SLOW, async (stage) => {
      const before = steady(stage.settings);
      const slow = await slowPlexTv(stage.plexTv.url);
      try {
        const args = ["reset", "--yes", "--json", "--claim-code-file", await stage.codeFile()];
        const run = stage.begin(args, { env: { PLEX_RECLAIM_PLEXTV_URL: slow.url } });
        await slow.holds;
        run.closeOutput();
        slow.letGo();
        expect((await run.end()).exitCode).toBe(130);
      } finally {
        slow.close();
      }
      expect(steady(stage.settings)).toBe(before);
      await demandSettled(stage);
      await demandParkedAreUsed(stage);
    });
  });
});

/** The program dies as it is: nothing is told, nothing is put back. */
describe.concurrent("kill -9", () => {
  async function killedAt(stage: Stage, step: string, args: readonly string[]): Promise<void> {
    const asked = join(stage.folder, "the-stop-was-asked-for");
    const env = { PLEX_RECLAIM_STOP_COMMAND: `${stage.server.stopLine}; : >'${asked}'` };
    const run = stage.begin([...args, "--json"], { env });
    await run.reached(step);
    if (step === "stop") await eventually(() => exists(asked), "a stop command");
    run.kill("SIGKILL");
    await run.end();
    const seen = await stage.json(["status"]);
    demandEnd(seen, 0, "OK");
    expect(notesOf(seen)).toContain("UNSETTLED_RUN");
  }

  for (const step of ["stop", "edit", "start"]) {
    test(`at the step ${step}, without a code: undo settles it, and the server is as it was found`, async () => {
      await onStage(SLOW, async (stage) => {
        const before = steady(stage.settings);
        await killedAt(stage, step, ["reset", "--yes"]);
        const undone = await stage.json(["undo", "--yes"]);
        expect([0, 6]).toContain(undone.exitCode);
        expect(steady(stage.settings)).toBe(before);
        await demandSettled(stage);
        demandEnd(await stage.json(["undo", "--yes"]), 0, "NOTHING_TO_DO");
      });
    });

    test(`at the step ${step}, after an exchange: the next reset settles it and needs no code`, async () => {
      await onStage(SLOW, async (stage) => {
        await killedAt(stage, step, ["reset", "--yes", "--claim-code-file", await stage.codeFile()]);
        const next = await stage.json(["reset", "--yes"]);
        expect(notesOf(next)).toContain("RUN_SETTLED");
        expect([next.exitCode, next.result["code"]]).toBeOneOf([
          [0, "OK"],
          // The new sign-in had been written already, and the server has it.
          [4, "NOT_LOCKED_OUT"],
        ]);
        expect(await stage.isHealed()).toBe(true);
        expect(await stage.exchanges()).toBe(1);
        expect(parked(stage)).toBeNull();
        await demandSettled(stage);
      });
    });
  }

  test("while the code is exchanged: the code counts as sent, and a fresh one heals", async () => {
    await onStage({}, async (stage) => {
      const before = { settings: stage.settings, process: stage.process };
      const args = ["reset", "--yes", "--claim-code-file", await stage.codeFile()];
      const slow = await slowPlexTv(stage.plexTv.url);
      try {
        const run = stage.begin([...args, "--json"], { env: { PLEX_RECLAIM_PLEXTV_URL: slow.url } });
        await slow.holds;
        run.kill("SIGKILL");
        await run.end();
      } finally {
        slow.close();
      }
      expect({ settings: stage.settings, process: stage.process }).toEqual(before);
      const seen = await stage.json(["status"]);
      expect(noteOf(seen, "UNSETTLED_RUN")["step"]).toBe("sending-code");
      demandEnd(await stage.json(args), 3, "CLAIM_CODE_ALREADY_SENT");
      expect(await stage.exchanges()).toBe(1);
      demandEnd(await stage.json(["reset", "--yes", "--claim-code-file", await stage.codeFile()]), 0, "OK");
      expect(await stage.isHealed()).toBe(true);
    });
  });

  test.each(["en", "ru"] as const)(
    "is reported by status in words, which settles nothing (%s)",
    async (language) => {
      await onStage(SLOW, async (stage) => {
        await killedAt(stage, "stop", ["reset", "--yes"]);
        await eventually(() => !stage.server.running, "a stopped server");
        const seen = await stage.run(["status", "--lang", language]);
        demandEnd(seen, 0);
        demandLanguage(seen.stdout + seen.stderr, language);
        expect(seen.stderr).toContain("plex-reclaim undo");
        expect(stage.server.running).toBe(false);
        const settled = await stage.run(["undo", "--yes", "--lang", language]);
        expect([0, 6]).toContain(settled.exitCode);
        demandLanguage(settled.stdout + settled.stderr, language);
        await demandSettled(stage);
      });
    },
  );
});
