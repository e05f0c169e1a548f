import { expect, test } from "vitest";
import { demo } from "../../src/commands/demo.ts";
import type { Session } from "../../src/commands/session.ts";

test("on Windows the demo says that it cannot be played there, and does nothing", async () => {
  const session = { world: { platform: "win32" } } as unknown as Session;
  const invocation = { kind: "demo", keep: false, options: {} } as unknown as Parameters<typeof demo>[1];
  await expect(demo(session, invocation)).rejects.toMatchObject({
    problem: { code: "DEMO_NOT_HERE", platform: "win32" },
  });
});
