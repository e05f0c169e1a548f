import { describe, expect, test } from "vitest";
import { playInBothLanguages } from "../support/both-languages.ts";
import { demandEnd, notesOf, onStage, type Stage } from "../support/stage.ts";

/** Everything but the four values and the counter that the server itself changes. */
function others(settings: string): string {
  return settings
    .replaceAll(/ PlexOnline(?:Token|Username|Mail|Home)="[^"]*"/g, "")
    .replace(/PubSubServerPing="\d+"/, "");
}

async function reset(stage: Stage) {
  return { args: ["reset", "--yes"] };
}

async function resetWithCode(stage: Stage) {
  return { args: ["reset", "--yes", "--claim-code-file", await stage.codeFile()] };
}

describe.concurrent("a locked-out server", () => {
  test("is healed by reset with a claim code, with nothing else changed", async () => {
    await playInBothLanguages({
      stage: { settings: { home: true } },
      call: resetWithCode,
      ending: { exitCode: 0, code: "OK" },
      async after(stage, ended) {
        expect(await stage.isHealed()).toBe(true);
        expect(stage.server.running).toBe(true);
        if (ended.lines.length === 0) return;
        const { criteria, ownerChanged } = ended.result as { criteria: { result: string }[]; ownerChanged: boolean };
        expect(criteria.map(({ result }) => result)).toEqual(["met", "met", "met"]);
        expect(ownerChanged).toBe(false);
      },
    });
  });

  test("is signed out by reset without a code, runs, and every way to sign in is told", async () => {
    await playInBothLanguages({
      stage: {},
      call: reset,
      ending: { exitCode: 0, code: "SIGNED_OUT" },
      async after(stage, ended) {
        expect(stage.settings).not.toContain(" PlexOnlineToken=");
        expect(stage.settings).not.toMatch(/PlexOnline(?:Username|Mail|Home)=/);
        expect(await stage.server.answers()).toBe(true);
        const { port } = new URL(stage.server.url);
        for (const way of [" claim", `http://127.0.0.1:${port}/web`, `ssh -L 8888:127.0.0.1:${port} `])
          expect(ended.stdout).toContain(way);
      },
    });
  });
});
