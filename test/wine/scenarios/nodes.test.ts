import { describe, expect, test } from "vitest";
import { sz } from "../../support/reg-text.ts";
import { demandEnd } from "../../support/stage.ts";
import { onWineStage, openWineHouse, whyNoWineStage } from "../../support/wine-stage.ts";

const missing = whyNoWineStage();

describe.skipIf(missing !== null)(`on Windows ${missing ?? ""}`, () => {
  test.each(["22", "24", "26"] as const)(
    "a reset with a code heals, and undo keeps the new sign-in, with Node %s",
    async (node) => {
      const machine = await openWineHouse({ node });
      try {
        await onWineStage(machine, { home: true }, async (stage) => {
          const before = await stage.others();
          const ended = await stage.json(["reset", "--yes", "--claim-code-file", await stage.codeFile()]);
          demandEnd(ended, 0, "OK");
          expect(ended.result["criteria"]).toMatchObject([
            { result: "met" },
            { result: "met" },
            { result: "met" },
          ]);
          expect(await stage.isHealed()).toBe(true);
          expect(await stage.others()).toEqual(before);
          demandEnd(await stage.json(["undo", "--yes"]), 0, "OK");
          expect(await stage.signIn()).toEqual({
            PlexOnlineToken: sz((await stage.server.token()) ?? ""),
            PlexOnlineUsername: sz("jane"),
            PlexOnlineMail: sz("jane@example.com"),
          });
          expect(await stage.isHealed()).toBe(true);
          expect(await stage.others()).toEqual(before);
          await stage.demandSettled();
        });
      } finally {
        await machine.close();
      }
    },
  );
});
