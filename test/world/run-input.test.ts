import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { realWorld } from "../../src/world/real.ts";

test("a program gets bytes that are no text as they are", async () => {
  const stdin = Uint8Array.from({ length: 70_000 }, (_, at) => (at * 7) % 256);
  const { status, stdout } = await realWorld().run("sha256sum", [], { timeoutMs: 60_000, stdin });
  expect(status).toBe(0);
  expect(stdout.slice(0, 64)).toBe(createHash("sha256").update(stdin).digest("hex"));
});
