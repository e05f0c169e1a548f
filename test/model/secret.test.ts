import { format, inspect } from "node:util";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Secret } from "../../src/model/secret.ts";

/** Like nothing that stands around it when it is shown. */
const value = fc
  .string({ unit: fc.constantFrom(..."0123456789ABCDEFabcdef-_"), minLength: 8, maxLength: 40 })
  .map((text) => `s3cr3t${text}`);

test("a secret is given out by reveal, and by nothing else that turns it into text", () => {
  fc.assert(
    fc.property(value, (text) => {
      const secret = new Secret(text);
      expect(secret.reveal()).toBe(text);
      const settings = { token: secret, deep: [{ secret }] };
      const shown = [
        String(secret),
        `${secret}`,
        `a ${secret} b`,
        [secret].join(),
        JSON.stringify(secret),
        JSON.stringify(settings),
        inspect(secret),
        inspect(settings, { depth: null, showHidden: true, getters: true }),
        inspect(secret, { customInspect: false, showHidden: true }),
        inspect(new Map([[secret, secret]]), { depth: null }),
        format("%s %o %O %j", secret, secret, secret, secret),
        new Error(`failed with ${secret}`).message,
        inspect(new Error("failed", { cause: secret })),
        inspect(Object.assign(new Error("failed"), { secret })),
        JSON.stringify(Object.entries(secret)),
        Reflect.ownKeys(secret).map(String).join(),
        String(Object.values({ ...secret })),
      ];
      for (const [index, each] of shown.entries()) expect(each.includes(text), `way ${index}`).toBe(false);
    }),
    { numRuns: 300 },
  );
});

test("in its place stands a mark, which does not tell its length", () => {
  for (const text of ["", "a", "a".repeat(100)]) {
    const secret = new Secret(text);
    expect([String(secret), inspect(secret), JSON.parse(JSON.stringify(secret)) as unknown]).toEqual([
      "•••",
      "•••",
      "•••",
    ]);
  }
});

test("it does not turn into a number", () => {
  expect(Number(new Secret("1234"))).toBeNaN();
});

test("copies made by the platform do not carry it", () => {
  expect(JSON.stringify(structuredClone(new Secret("hush-hush-hush")))).not.toContain("hush");
});
