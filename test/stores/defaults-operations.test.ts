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
import { type PlistValue, realOf } from "../../src/stores/plist-value.ts";
import { anyContent, earlier, integer, SIGNED_IN, text } from "../support/defaults-contents.ts";

const RUNS = { numRuns: 400 };

/** What `import` does with keys that are not handed over, and whether whoever calls it knows. */
interface Way {
  readonly replaces: boolean;
  readonly knows: boolean;
}

const WAYS: readonly (readonly [string, Way])[] = [
  ["merges, as is known", { replaces: false, knows: true }],
  ["merges", { replaces: false, knows: false }],
  ["replaces", { replaces: true, knows: false }],
];

/** What an operation makes of a domain; a deletion of what is not there is refused, unless that may be. */
function after(
  content: DomainContent,
  operation: DefaultsOperation,
  { replaces, knows }: Way,
): DomainContent {
  if (operation.kind === "import") {
    return new Map([...(replaces ? [] : content), ...(knows ? operation.changes : operation.content)]);
  }
  if (!operation.mayBeGone) expect([...content.keys()]).toContain(operation.name);
  return new Map([...content].filter(([name]) => name !== operation.name));
}

/** The content as it was and after each operation. */
function states(content: DomainContent, operations: readonly DefaultsOperation[], way: Way): DomainContent[] {
  const all = [content];
  for (const operation of operations) all.push(after(all.at(-1) ?? content, operation, way));
  return all;
}

/** The same, and what an import may leave that was cut off at some of its keys: `turn` says at which. */
function cutOffStates(
  content: DomainContent,
  operations: readonly DefaultsOperation[],
  way: Way,
  turn: number,
): DomainContent[] {
  const whole = states(content, operations, way);
  return whole.flatMap((state, index) => {
    const next = whole[index + 1];
    if (operations[index]?.kind !== "import" || next === undefined) return [state];
    const names = [...new Set([...state.keys(), ...next.keys()])];
    const changed = new Set(names.filter((_, place) => ((turn >> (place % 16)) & 1) === 1));
    return [
      state,
      new Map([
        ...[...state].filter(([name]) => !changed.has(name)),
        ...[...next].filter(([name]) => changed.has(name)),
      ]),
    ];
  });
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

/** The same with no object in two places. */
function unshared(value: PlistValue): PlistValue {
  if (value.kind === "array") return { kind: "array", items: value.items.map(unshared) };
  if (value.kind === "data") return { kind: "data", bytes: Uint8Array.from(value.bytes) };
  if (value.kind !== "dictionary") return { ...value };
  return { kind: "dictionary", entries: value.entries.map(([key, each]) => [key, unshared(each)] as const) };
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

  test("has the same bytes whatever objects its values share", () => {
    fc.assert(
      fc.property(anyContent, fc.uint8Array({ maxLength: 9 }), (content, bytes) => {
        const shared: PlistValue = { kind: "data", bytes };
        const both: PlistValue = { kind: "array", items: [shared, shared] };
        const one = new Map<string, PlistValue>([...content, ["A", shared], ["z", both], ["zz", both]]);
        const other = new Map([...one].map(([key, value]) => [key, unshared(value)] as const));
        expect(bytesOf(one)).toEqual(bytesOf(other));
        expect(fingerprintsOf(one)).toEqual(fingerprintsOf(other));
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
    expect(sameContent(date(1), date(1.001))).toBe(false);
    expect(sameContent(date(801_234_567.25), date(801_234_567.249_999_8))).toBe(true);
    expect(sameContent(date(-1e-7), date(0))).toBe(true);
    expect(sameContent(date(1e300), date(2e300))).toBe(false);
    const narrow = (bits: bigint) => of({ kind: "real", bits, width: 4 });
    expect(sameContent(narrow(0x3fc0_0000n), of(realOf(1.5)))).toBe(true);
    expect(sameContent(narrow(0x3fc0_0001n), of(realOf(1.5)))).toBe(false);
    expect(sameContent(narrow(0x7fc0_0001n), of(realOf(Number.NaN)))).toBe(true);
    expect(sameContent(of(realOf(-0)), of(realOf(0)))).toBe(false);
    expect(bytesOf(date(801_234_567.25))).not.toEqual(bytesOf(date(801_234_567.249_999_8)));
    expect(bytesOf(narrow(0x3fc0_0000n))).not.toEqual(bytesOf(of(realOf(1.5))));
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

describe.for(WAYS)("a write where import %s", ([, way]) => {
  test("ends at what was wanted, and what it is cut off at is known as half of it", () => {
    fc.assert(
      fc.property(anyContent, anyContent, fc.nat(), (from, to, turn) => {
        const parts = partsBetween(from, to);
        const operations = operationsBetween(from, to);
        for (const state of cutOffStates(from, operations, way, turn)) {
          const end = sameContent(state, to) || sameContent(state, from);
          expect(isMixed(state, from, parts)).toBe(!end);
          expect(sameContent(withoutParts(state, from, parts), from)).toBe(true);
        }
        for (const state of states(from, operations, way)) {
          if (!sameContent(state, to) && from.has("PlexOnlineToken") && !to.has("PlexOnlineToken")) {
            expect(tokenOf(state)).toBe(tokenOf(from));
          }
        }
        const end = states(from, operations, way).at(-1) ?? from;
        expect(sameContent(end, to)).toBe(true);
      }),
      RUNS,
    );
  });

  test("is taken back from anywhere, and what that is cut off at is known as half of it as well", () => {
    fc.assert(
      fc.property(anyContent, anyContent, fc.nat(), (from, to, turn) => {
        const reached = cutOffStates(from, operationsBetween(from, to), way, turn);
        const standing = reached[turn % reached.length] ?? from;
        const parts = partsBetween(from, to);
        const operations = operationsBack(from, to, standing);
        const back = states(standing, operations, way);
        expect(sameContent(back.at(-1) ?? standing, from)).toBe(true);
        for (const state of cutOffStates(standing, operations, way, turn)) {
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
        const reached = states(from, operationsBetween(from, to), way);
        const name = [...from.keys(), "quite new"][turn % (from.size + 1)] ?? "quite new";
        const standing = new Map([...(reached.at(-1) ?? to), [name, foreign] as const]);
        const back = states(standing, operationsBack(from, to, standing), way).at(-1) ?? standing;
        expect(sameContent(back, new Map([...from, [name, foreign]]))).toBe(true);
      }),
      RUNS,
    );
  });
});

test("keys that an import took against all signs come back, with all others", () => {
  const way = { replaces: true, knows: true };
  fc.assert(
    fc.property(anyContent, anyContent, (from, to) => {
      const reached = states(from, operationsBetween(from, to), way).at(-1) ?? to;
      const ours = new Set(partsBetween(from, to).map(({ name }) => name));
      if ([...from.keys()].every((name) => ours.has(name) || reached.has(name))) return;
      const back = states(reached, operationsBack(from, to, reached), way).at(-1) ?? reached;
      expect(sameContent(back, from)).toBe(true);
    }),
    RUNS,
  );
});

test("an import has no more than its changes, where the rest stays", () => {
  const [operation] = operationsBetween(SIGNED_IN, new Map([...SIGNED_IN, ["PlexOnlineToken", text("t")]]));
  expect(operation).toMatchObject({ kind: "import", changes: new Map([["PlexOnlineToken", text("t")]]) });
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
  const mixed = (...changes: readonly (readonly [string, PlistValue | null])[]) => {
    const state = new Map(SIGNED_IN);
    for (const [name, value] of changes) {
      if (value === null) state.delete(name);
      else state.set(name, value);
    }
    return isMixed(state, SIGNED_IN, parts);
  };
  const deletions = parts.filter((part) => part.to === null).map(({ name }) => [name, null] as const);
  const added = ["Gone", integer(1n)] as const;
  expect(isMixed(SIGNED_IN, SIGNED_IN, parts)).toBe(false);
  expect(isMixed(to, SIGNED_IN, parts)).toBe(false);
  // Any deletions and changes together are what a taking back leaves whose import was cut off.
  expect(mixed(...deletions.slice(1), ["PlexOnlineToken", text("t")])).toBe(true);
  expect(mixed(["PlexOnlineToken", text("t")])).toBe(true);
  // A new key is there after all deletions alone.
  expect(mixed(added)).toBe(false);
  expect(mixed(added, ...deletions.slice(1))).toBe(false);
  expect(mixed(added, ...deletions)).toBe(true);
  for (const { name } of parts.slice(1)) {
    const foreign = [name, text("somebody else's")] as const;
    expect([name, mixed(...deletions.slice(0, 1), foreign)]).toEqual([name, false]);
  }
});

test("a token is gone in half a write only where an import may have taken it, after all deletions", () => {
  const without = (content: DomainContent, ...names: readonly string[]) =>
    new Map([...content].filter(([name]) => !names.includes(name)));
  const to = earlier(null);
  const parts = partsBetween(SIGNED_IN, to);
  const deletions = parts.filter((part) => part.to === null).map(({ name }) => name);
  expect(deletions.at(-1)).toBe("PlexOnlineToken");
  expect(isMixed(without(SIGNED_IN, ...deletions), SIGNED_IN, parts)).toBe(true);
  expect(isMixed(without(SIGNED_IN, ...deletions.slice(1)), SIGNED_IN, parts)).toBe(false);
  const signedOut = without(
    SIGNED_IN,
    ...[...SIGNED_IN.keys()].filter((name) => name.startsWith("PlexOnline")),
  );
  const all = partsBetween(SIGNED_IN, signedOut);
  expect(isMixed(without(SIGNED_IN, "PlexOnlineToken"), SIGNED_IN, all)).toBe(false);
  expect(isMixed(without(SIGNED_IN, "PlexOnlineHome"), SIGNED_IN, all)).toBe(true);
});
