import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Mode, ModeOptions } from "../../src/standins/plex-tv-mode.ts";
import { inBothLanguages } from "../support/both-languages.ts";
import { demandEnd, exists, notesOf, onStage, type Stage } from "../support/stage.ts";

interface Failure {
  readonly mode: Mode;
  readonly options?: ModeOptions;
  readonly code: string;
  readonly orCode?: string;
  /** Whether the code may have reached plex.tv: then it is never sent again. */
  readonly codeIs: "spent" | "as good as before";
  /** Told in both languages; the others have the words of one of these. */
  readonly inWords?: true;
}

const SPENT = "spent";
const GOOD = "as good as before";

const FAILURES: Record<string, Failure> = {
  "refuses the code": { mode: { kind: "refused" }, code: "CLAIM_CODE_REFUSED", codeIs: SPENT, inWords: true },
  "says that the code has expired": { mode: { kind: "expired" }, code: "CLAIM_CODE_REFUSED", codeIs: SPENT },
  "answers 500": { mode: { kind: "server-error" }, code: "PLEXTV_NONSENSE", codeIs: SPENT, inWords: true },
  "answers 503": { mode: { kind: "server-error", status: 503 }, code: "PLEXTV_NONSENSE", codeIs: SPENT },
  "asks for an hour's patience": {
    mode: { kind: "rate-limited", retryAfter: 3600 },
    code: "PLEXTV_RATE_LIMITED",
    codeIs: GOOD,
    inWords: true,
  },
  "has its answer lost": {
    mode: { kind: "answer-lost" },
    code: "EXCHANGE_OUTCOME_UNKNOWN",
    codeIs: SPENT,
    inWords: true,
  },
  "has its answer cut off": {
    mode: { kind: "cut-off-body" },
    code: "EXCHANGE_OUTCOME_UNKNOWN",
    codeIs: SPENT,
  },
  "gives an empty token": { mode: { kind: "empty-token" }, code: "PLEXTV_NONSENSE", codeIs: SPENT },
  "is a captive portal at the exchange": {
    mode: { kind: "captive-portal" },
    code: "PLEXTV_NONSENSE",
    codeIs: SPENT,
  },
  "is a captive portal that redirects": {
    mode: { kind: "captive-portal", redirect: true },
    code: "PLEXTV_NONSENSE",
    codeIs: SPENT,
  },
  // Whether the server is locked out can be told by its own answers alone, and only until it asks plex.tv again.
  "is a captive portal all the time": {
    mode: { kind: "captive-portal" },
    options: { scope: "everything" },
    code: "PLEXTV_NONSENSE",
    orCode: "PLEXTV_UNREACHABLE",
    codeIs: GOOD,
  },
  "answers 500 to everything": {
    mode: { kind: "server-error" },
    options: { scope: "everything" },
    code: "PLEXTV_NONSENSE",
    codeIs: GOOD,
  },
};

/** What must be the same before and after. */
function standing(stage: Stage) {
  return { settings: stage.settings, process: stage.process };
}

function demandNothingMade(stage: Stage): void {
  for (const folder of ["backups", "parked"]) {
    const path = join(stage.stateDirectory, folder);
    expect(exists(path) ? readdirSync(path) : []).toEqual([]);
  }
}

async function reset(stage: Stage) {
  return ["reset", "--yes", "--claim-code-file", await stage.codeFile()];
}

describe.concurrent("nothing is changed and the server is never stopped when plex.tv", () => {
  for (const [what, { mode, options, code, orCode, codeIs, inWords }] of Object.entries(FAILURES)) {
    test(what, async () => {
      await onStage({}, async (stage) => {
        await stage.noticed();
        const before = standing(stage);
        await stage.plexTv.setMode(mode, options);
        const args = await reset(stage);
        const first = await stage.json(args);
        demandEnd(first, 3, first.result["code"] === orCode ? orCode : code);
        expect(first.result["state"]).toBe("nothing-changed");
        if (inWords) await inBothLanguages(stage, () => reset(stage), { exitCode: 3, code });
        expect(standing(stage)).toEqual(before);
        demandNothingMade(stage);

        await stage.plexTv.setMode({ kind: "normal" });
        const sent = await stage.exchanges();
        const second = await stage.json(args);
        if (codeIs === SPENT) {
          demandEnd(second, 3, "CLAIM_CODE_ALREADY_SENT");
          expect(await stage.exchanges()).toBe(sent);
          expect(standing(stage)).toEqual(before);
          if (!inWords) return;
          // Only the code is: with a fresh one all is well.
          demandEnd(await stage.json(await reset(stage)), 0, "OK");
        } else demandEnd(second, 0, "OK");
        expect(await stage.isHealed()).toBe(true);
      });
    });
  }

  test("is down", async () => {
    await onStage({}, async (stage) => {
      const before = standing(stage);
      const args = await reset(stage);
      await stage.plexTv.down();
      demandEnd(await stage.json(args), 3, "PLEXTV_UNREACHABLE");
      await inBothLanguages(stage, () => reset(stage), { exitCode: 3, code: "PLEXTV_UNREACHABLE" });
      expect(standing(stage)).toEqual(before);
      demandNothingMade(stage);
      await stage.plexTv.up();
      demandEnd(await stage.json(args), 0, "OK");
    });
  });

  test.each([
    ["takes the code and says nothing", "exchange", "EXCHANGE_OUTCOME_UNKNOWN"],
    ["takes everything and says nothing", "everything", "PLEXTV_UNREACHABLE"],
  ] as const)("%s", async (_, scope, code) => {
    await onStage({}, async (stage) => {
      const before = standing(stage);
      await stage.plexTv.setMode({ kind: "hang" }, { scope });
      const args = await reset(stage);
      demandEnd(await stage.json(args, { haste: 20 }), 3, code);
      expect(standing(stage)).toEqual(before);
      demandNothingMade(stage);
      await stage.plexTv.setMode({ kind: "normal" });
      const again = await stage.json(args);
      if (scope === "exchange") demandEnd(again, 3, "CLAIM_CODE_ALREADY_SENT");
      else demandEnd(again, 0, "OK");
    });
  });

  test("never heard of the code", async () => {
    await onStage({}, async (stage) => {
      const before = standing(stage);
      const args = await reset(stage);
      await stage.plexTv.advanceClock(5 * 60_000);
      demandEnd(await stage.json(args), 3, "CLAIM_CODE_REFUSED");
      expect(standing(stage)).toEqual(before);
    });
  });
});

test.concurrent("a pause that plex.tv asks for is kept, and the same code is sent again after it", async () => {
  await onStage({}, async (stage) => {
    await stage.plexTv.setMode({ kind: "rate-limited", retryAfter: 1 }, { times: 1 });
    const ended = await stage.json(await reset(stage));
    demandEnd(ended, 0, "OK");
    expect(notesOf(ended)).toContain("WAITING_FOR_PLEXTV");
    expect(await stage.exchanges()).toBe(2);
    const codes = (await stage.plexTv.requests()).flatMap(({ claimCode }) => claimCode ?? []);
    expect(new Set(codes).size).toBe(1);
  });
});

test.concurrent("a pause that plex.tv asks for again and again ends the run, and the code can be used later", async () => {
  await onStage({}, async (stage) => {
    const before = standing(stage);
    await stage.plexTv.setMode({ kind: "rate-limited", retryAfter: 1 });
    const args = await reset(stage);
    demandEnd(await stage.json(args, { haste: 10 }), 3, "PLEXTV_RATE_LIMITED");
    expect(await stage.exchanges()).toBe(3);
    expect(standing(stage)).toEqual(before);
    await stage.plexTv.setMode({ kind: "normal" });
    demandEnd(await stage.json(args), 0, "OK");
  });
});

test.concurrent("on a server that still worked, a lost answer is said to have cost the old sign-in", async () => {
  await onStage({ state: "signed-in" }, async (stage) => {
    const before = standing(stage);
    await stage.plexTv.setMode({ kind: "answer-lost" });
    const english = await stage.run([...(await reset(stage)), "--lang", "en"]);
    // By then plex.tv has issued another token, so that the server is locked out.
    expect(english.stderr).toMatch(/old sign-in of the server is dead now, even\s+if it still worked before/);
    expect(standing(stage)).toEqual(before);
    await stage.plexTv.setMode({ kind: "normal" });
    demandEnd(await stage.json(await reset(stage)), 0, "OK");
  });
});

describe.concurrent("with --offline", () => {
  test("a claim code is refused, and plex.tv hears nothing", async () => {
    await onStage({}, async (stage) => {
      await stage.plexTv.forgetRequests();
      const before = standing(stage);
      await inBothLanguages(stage, async () => [...(await reset(stage)), "--offline"], {
        exitCode: 3,
        code: "OFFLINE",
      });
      const ours = (await stage.plexTv.requests()).filter(({ path }) => !path.includes("features"));
      expect(ours).toEqual([]);
      expect(standing(stage)).toEqual(before);
    });
  });

  test("a reset without a code works, and plex.tv hears nothing", async () => {
    await onStage({}, async (stage) => {
      await stage.plexTv.forgetRequests();
      demandEnd(await stage.json(["reset", "--yes", "--offline"]), 0, "SIGNED_OUT");
      const ours = (await stage.plexTv.requests()).filter(({ path }) => !path.includes("features"));
      expect(ours).toEqual([]);
    });
  });
});
