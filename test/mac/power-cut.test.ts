import { expect, test } from "vitest";
import { type MacStage, onMac } from "../support/mac-stage.ts";
import { notesOf } from "../support/stage.ts";

const OK = { exitCode: 0, code: "OK" };

function parkedBy(stage: MacStage): string[] {
  return stage.pathsBelow(`${stage.stateDirectory()}/parked`);
}

async function reset(stage: MacStage) {
  const args = ["reset", "--yes", "--claim-code-file", await stage.codeFile()];
  return stage.call(args, OK, { haste: 10 });
}

test("what is on the disk after a reset survives a power cut, and no copy of the sign-in is left", async () => {
  await onMac({}, async (stage) => {
    const ended = await reset(stage);
    expect(notesOf(ended)).not.toContain("PARKED_KEPT_FOR_NOW");
    expect(parkedBy(stage)).toEqual([]);
    await stage.server.kill();
    await stage.mac.forget();
    expect(await stage.isHealed()).toBe(true);
  });
});

test("a sign-in that the daemon has not written yet is kept beside it, and the next reset needs no code", async () => {
  await onMac({ switches: { writesFile: "later" } }, async (stage) => {
    const ended = await reset(stage);
    expect(notesOf(ended)).toContain("PARKED_KEPT_FOR_NOW");
    expect(parkedBy(stage)).toHaveLength(1);
    expect(await stage.isHealed()).toBe(true);

    await stage.server.kill();
    await stage.mac.forget();
    expect(await stage.isHealed(), "the dead sign-in is back").toBe(false);
    await stage.mac.setSwitches({ writesFile: "soon" });
    await stage.server.start();
    const again = await stage.call(["reset", "--yes"], OK, { haste: 10 });
    expect(notesOf(again)).toContain("CREDENTIALS_FROM_PARKED");
    expect(await stage.isHealed()).toBe(true);
    expect(await stage.exchanges()).toBe(1);
    expect(parkedBy(stage)).toEqual([]);
  });
});
