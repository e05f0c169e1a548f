import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  bytesOf,
  contentOf,
  type DomainContent,
  fingerprintsOf,
  sameContent,
} from "../../src/stores/defaults-content.ts";
import {
  type DefaultsOperation,
  isMixed,
  operationsBack,
  operationsBetween,
  partsBetween,
  withoutParts,
} from "../../src/stores/defaults-operations.ts";
import type { PlistValue } from "../../src/stores/plist-value.ts";
import { anyContent, earlier, integer, SIGNED_IN, text } from "../support/defaults-contents.ts";

const RUNS = { numRuns: 1_000 };

/** What an operation makes of a domain; a deletion of what is not there is refused, unless that may be. */
function after(content: DomainContent, operation: DefaultsOperation, replaces: boolean): DomainContent {
  if (operation.kind === "import") return new Map([...(replaces ? [] : content), ...operation.content]);
  if (!operation.mayBeGone) expect([...content.keys()]).toContain(operation.name);
  return new Map([...content].filter(([name]) => name !== operation.name));
}

/** The content as it was and after each operation. */
function states(
  content: DomainContent,
  operations: readonly DefaultsOperation[],
  replaces: boolean,
): DomainContent[] {
  const all = [content];
  for (const operation of operations) all.push(after(all.at(-1) ?? content, operation, replaces));
  return all;
}

function tokenOf(content: DomainContent): string | undefined {
  return fingerprintsOf(content).get("PlexOnlineToken");
}

/** The same dictionary with its keys turned, everywhere. */
function turned(value: PlistValue): PlistValue {
  if (value.kind === "array") return { kind: "array", items: value.items.map(turned) };
  if (value.kind !== "dictionary") return value;
  const entries = value.entries.map(([key, each]) => [key, turned(each)] as const);
  return { kind: "dictionary", entries: entries.reverse() };
}

describe("a domain's content", () => {
  test("is the same whatever order it comes in, and comes back from its bytes", () => {
    fc.assert(
      fc.property(anyContent, (content) => {
        const other = new Map([...content].reverse().map(([key, value]) => [key, turned(value)] as const));
        const [one, two] = [content, other].map((each) => contentOf(bytesOf(each), ""));
        expect(bytesOf(one ?? content)).toEqual(bytesOf(two ?? other));
        expect(bytesOf(contentOf(bytesOf(one ?? content), ""))).toEqual(bytesOf(one ?? content));
      }),
      RUNS,
    );
  });

  test("is another with another type or number, and the same in another width or format", () => {
    const of = (value: PlistValue) => new Map([["a", value]]);
    expect(sameContent(of(integer(1n)), of({ kind: "boolean", value: true }))).toBe(false);
    expect(sameContent(of(integer(1n)), of(text("1")))).toBe(false);
    const date = (seconds: number) => of({ kind: "date", seconds });
    expect(sameContent(date(1), date(1.25))).toBe(false);
    const wide = contentOf(bytesOf(of({ kind: "integer", value: 1n, width: 8 })), "");
    expect(sameContent(wide, of(integer(1n)))).toBe(true);
    const xml = '<plist version="1.0"><dict><key>a</key><date>2001-01-01T00:00:01Z</date></dict></plist>';
    expect(sameContent(contentOf(new TextEncoder().encode(xml), ""), date(1))).toBe(true);
  });

  test("is not what has another root", () => {
    const xml = '<plist version="1.0"><array/></plist>';
    expect(() => contentOf(new TextEncoder().encode(xml), "/p")).toThrow("SETTINGS_MALFORMED");
  });
});

describe.for([
  ["merges", false],
  ["replaces", true],
] as const)("a write where import %s", ([, replaces]) => {
  test("ends at what was wanted, and what it is cut off at is known as half of it", () => {
    fc.assert(
      fc.property(anyContent, anyContent, (from, to) => {
        const parts = partsBetween(from, to);
        for (const state of states(from, operationsBetween(from, to), replaces).slice(1)) {
          const end = sameContent(state, to);
          expect(isMixed(state, from, parts)).toBe(!end);
          expect(sameContent(withoutParts(state, from, parts), from)).toBe(true);
          if (!end && from.has("PlexOnlineToken") && !to.has("PlexOnlineToken")) {
            expect(tokenOf(state)).toBe(tokenOf(from));
          }
        }
        expect(states(from, operationsBetween(from, to), replaces).at(-1)).toSatisfy((end: DomainContent) =>
          sameContent(end, to),
        );
      }),
      RUNS,
    );
  });

  test("is taken back from anywhere, and what that is cut off at is known as half of it as well", () => {
    fc.assert(
      fc.property(anyContent, anyContent, fc.nat(), (from, to, turn) => {
        const reached = states(from, operationsBetween(from, to), replaces);
        const standing = reached[turn % reached.length] ?? from;
        const parts = partsBetween(from, to);
        const back = states(standing, operationsBack(from, to, standing), replaces);
        expect(sameContent(back.at(-1) ?? standing, from)).toBe(true);
        for (const state of back) {
          const ends = sameContent(state, from) || sameContent(state, to);
          expect(isMixed(state, from, parts)).toBe(!ends);
        }
      }),
      RUNS,
    );
  });

  test("leaves what somebody else has changed when it is taken back", () => {
    fc.assert(
      fc.property(anyContent, anyContent, fc.nat(), (from, to, turn) => {
        const foreign: PlistValue = text("somebody else's");
        const reached = states(from, operationsBetween(from, to), replaces);
        const name = [...from.keys(), "quite new"][turn % (from.size + 1)] ?? "quite new";
        const standing = new Map([...(reached.at(-1) ?? to), [name, foreign] as const]);
        const back = states(standing, operationsBack(from, to, standing), replaces).at(-1) ?? standing;
        expect(sameContent(back, new Map([...from, [name, foreign]]))).toBe(true);
      }),
      RUNS,
    );
  });
});

test("an import is made once, and only where something must be set", () => {
  const kinds = (to: DomainContent) => operationsBetween(SIGNED_IN, to).map(({ kind }) => kind);
  const signedOut = new Map([...SIGNED_IN].filter(([name]) => !name.startsWith("PlexOnline")));
  expect(kinds(signedOut)).toEqual(["delete", "delete", "delete", "delete"]);
  expect(operationsBetween(SIGNED_IN, signedOut).at(-1)).toMatchObject({ name: "PlexOnlineToken" });
  expect(kinds(earlier("t")).filter((kind) => kind === "import")).toHaveLength(1);
  expect(operationsBetween(SIGNED_IN, earlier(null)).at(-1)).toEqual({
    kind: "delete",
    name: "PlexOnlineToken",
    mayBeGone: true,
  });
  expect(operationsBetween(SIGNED_IN, SIGNED_IN)).toEqual([]);
});

test("keys are told in the order of their names, the token last in its kind", () => {
  const namesOf = (from: DomainContent, to: DomainContent) => partsBetween(from, to).map(({ name }) => name);
  const of = (names: string, value: string) =>
    new Map(names.split(" ").map((name) => [name, text(value)] as const));
  const names = "Zebra PlexOnlineToken PlexOnlineMail Apple";
  const ordered = ["Apple", "PlexOnlineMail", "Zebra", "PlexOnlineToken"];
  expect(namesOf(of(names, "one"), of(names, "two"))).toEqual(ordered);
  expect(namesOf(new Map(), of(names, "one"))).toEqual(ordered);
  expect(namesOf(of(names, "one"), new Map())).toEqual(ordered);
  // A new token is the first to go again.
  const back = operationsBack(new Map(), of(names, "one"), of(names, "one"));
  expect(back.map((each) => (each.kind === "delete" ? each.name : ""))).toEqual([...ordered].reverse());
});

test("nothing is taken back where nothing was done", () => {
  expect(operationsBack(SIGNED_IN, earlier("t"), SIGNED_IN)).toEqual([]);
  expect(operationsBack(SIGNED_IN, earlier(null), SIGNED_IN)).toEqual([]);
});

test("a state that no cut-off write leaves is none", () => {
  const to = earlier("t");
  const parts = partsBetween(SIGNED_IN, to);
  expect(isMixed(SIGNED_IN, SIGNED_IN, parts)).toBe(false);
  expect(isMixed(to, SIGNED_IN, parts)).toBe(false);
  const onlyToken = new Map([...SIGNED_IN, ["PlexOnlineToken", text("t")] as const]);
  expect(isMixed(onlyToken, SIGNED_IN, parts)).toBe(false);
  const states = [...SIGNED_IN.keys()].filter((name) => !to.has(name));
  const [first] = parts;
  expect(states).toContain(first?.name);
  const begun = new Map([...SIGNED_IN].filter(([name]) => name !== first?.name));
  expect(isMixed(begun, SIGNED_IN, parts)).toBe(true);
  for (const { name } of parts.slice(1)) {
    const foreign = new Map([...begun, [name, text("somebody else's")] as const]);
    expect([name, isMixed(foreign, SIGNED_IN, parts)]).toEqual([name, false]);
  }
});
