import { expect, test } from "vitest";
import { demo } from "../../src/commands/demo.ts";
import type { Session } from "../../src/commands/session.ts";

test.each(["win32", "darwin"] as const)(
  "on %s the demo says that it cannot be played there, and does nothing",
  async (platform) => {
    const session = { world: { platform } } as unknown as Session;
    const invocation = { kind: "demo", keep: false, options: {} } as unknown as Parameters<typeof demo>[1];
    const problem = { code: "DEMO_NOT_HERE", platform };
    await expect(demo(session, invocation)).rejects.toMatchObject({ problem });
  },
);
