import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ProblemError } from "../../src/model/problem.ts";
import { parseClaimCode } from "../../src/plex/claim-code.ts";
import { CODE, everythingIn } from "./play.ts";

describe("a claim code", () => {
  it.each([
    ["alone", CODE],
    ["with line breaks", `\r\n ${CODE}\t\r\n`],
    ["after a byte order mark", `\uFEFF${CODE}\n`],
    ["in quotes", `"${CODE}"`],
    ["in typographic quotes", ` “${CODE}” \n`],
    ["in quotes within quotes", `'"${CODE}"'`],
    ["with a zero byte behind it", `${CODE}\0`],
  ])("is taken %s", (_, text) => {
    expect(parseClaimCode(text, "file").reveal()).toBe(CODE);
  });

  it.each([
    ["nothing", ""],
    ["only quotes", '""'],
    ["a token", "AbCdEfGhIjKlMnOpQrSt"],
    ["a short one", "claim-AbCdEfGh1"],
    ["two", `${CODE}\n${CODE}`],
    ["one with a space", "claim-AbCdEf GhIjKlMn"],
    ["one in an assignment", `PLEX_CLAIM=${CODE}`],
    ["one with a query", `${CODE}&x=1`],
    ["one without end", `claim-${"a".repeat(1000)}`],
  ])("is not made of %s, and what was given is not shown", (_, text) => {
    try {
      parseClaimCode(text, "stdin");
      expect.unreachable("it was taken");
    } catch (error) {
      expect(error).toBeInstanceOf(ProblemError);
      expect((error as ProblemError).problem).toEqual({ code: "CLAIM_CODE_MALFORMED", source: "stdin" });
      if (text.length > 2) expect((error as ProblemError).message).not.toContain(text);
      expect(JSON.stringify((error as ProblemError).problem)).not.toContain("AbCd");
    }
  });

  it("either comes out fit for a query string or is refused with nothing of it shown", () => {
    const around = fc.string({ unit: "binary", maxLength: 20 });
    const given = fc.tuple(around, fc.constantFrom(CODE, "claim-", "s3cret-s3cret"), around);
    fc.assert(
      fc.property(given, (parts) => {
        try {
          expect(parseClaimCode(parts.join(""), "prompt").reveal()).toMatch(/^claim-[\w-]{10,}$/);
        } catch (error) {
          expect(error).toBeInstanceOf(ProblemError);
          for (const secret of [CODE, "s3cret"]) expect(everythingIn(error)).not.toContain(secret);
        }
      }),
    );
  });
});
