import { readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { bytesOf, contentOf, type DomainContent } from "../../src/stores/defaults-content.ts";
import { openDefaultsStore } from "../../src/stores/defaults-store.ts";
import type { PlistValue } from "../../src/stores/plist-value.ts";
import { imageOf } from "../../src/stores/preferences-file.ts";
import type { Image, SettingsStore } from "../../src/stores/store.ts";
import { earlier, REMOVE, replaceWith, SIGNED_IN, text } from "../support/defaults-contents.ts";
import { ProcessDied } from "../support/mac-tools.ts";
import { MemoryDefaults } from "../support/memory-defaults.ts";
import { problemIn } from "../support/registry-store-contract.ts";

interface Started {
  readonly mac: MemoryDefaults;
  readonly store: SettingsStore;
  readonly from: Image;
  readonly to: Image;
}

async function standingAt(content: DomainContent, importReplaces: boolean) {
  const mac = new MemoryDefaults();
  mac.values = content;
  mac.importReplaces = importReplaces;
  const store = await openDefaultsStore(mac.world(), mac.server, { readOnly: false });
  return { mac, store, from: await imageIn(store) };
}

async function imageIn(store: SettingsStore): Promise<Image> {
  const stored = await store.readImage();
  if (stored === null) throw new Error("there is no domain");
  return stored.image;
}

/** What another process of ours finds. */
async function afterwards(mac: MemoryDefaults): Promise<Image> {
  mac.fault(null);
  return imageIn(await openDefaultsStore(mac.world(), mac.server, { readOnly: true }));
}

const SIGNED_OUT: DomainContent = new Map([...SIGNED_IN].filter(([name]) => !name.startsWith("PlexOnline")));
const REPLACE = replaceWith("new-token-of-the-mac", "Ана", "new@example.org");

type Start = (importReplaces: boolean) => Promise<Started>;

const WRITES: Readonly<Record<string, Start>> = {
  remove: async (replaces) => {
    const { mac, store, from } = await standingAt(SIGNED_IN, replaces);
    return { mac, store, from, to: await store.preview(from, REMOVE) };
  },
  replace: async (replaces) => {
    const { mac, store, from } = await standingAt(SIGNED_IN, replaces);
    return { mac, store, from, to: await store.preview(from, REPLACE) };
  },
  "first sign-in": async (replaces) => {
    const { mac, store, from } = await standingAt(SIGNED_OUT, replaces);
    return { mac, store, from, to: await store.preview(from, REPLACE) };
  },
  "restore of another sign-in": async (replaces) => {
    const started = await standingAt(SIGNED_IN, replaces);
    return { ...started, to: imageOf(bytesOf(earlier("earlier-token"))) };
  },
  "restore of none": async (replaces) => {
    const started = await standingAt(SIGNED_IN, replaces);
    return { ...started, to: imageOf(bytesOf(earlier(null))) };
  },
};

const CASES = Object.entries(WRITES).flatMap(([name, start]) =>
  [false, true].map((replaces) => [name, replaces ? "replaces" : "merges", () => start(replaces)] as const),
);

/** How many calls a write makes when nothing goes wrong; and that it leaves nothing. */
async function callsOf(start: () => Promise<Started>): Promise<number> {
  const { mac, store, from, to } = await start();
  const before = mac.lines.length;
  await store.write(from, to);
  expect(await imageIn(store)).toEqual(to);
  expect(readdirSync(mac.temporary)).toEqual([]);
  return mac.lines.length - before - 3;
}

function isWhole({ from, to }: Started, standing: Image): boolean {
  return standing.sha256 === from.sha256 || standing.sha256 === to.sha256;
}

function isKnownHalf({ store, from, to }: Started, standing: Image): boolean {
  return store.isHalfWritten(standing, from, store.partsOf(from, to) ?? []);
}

test.for(CASES)("%s, import %s: is taken back when any call fails, done or not", async ([, , start]) => {
  const count = await callsOf(start);
  expect(count).toBeGreaterThanOrEqual(7);
  for (const kind of ["fails", "fails-after", "hangs"] as const) {
    for (let at = 1; at <= count; at += 1) {
      const started = await start();
      const { mac, store, from, to } = started;
      mac.fault({ at, kind });
      const outcome = await store.write(from, to).then(
        () => "written",
        (error: unknown) => problemIn(Promise.reject(error)),
      );
      const standing = await afterwards(mac);
      if (outcome === "written") expect([kind, at, standing]).toEqual([kind, at, to]);
      else {
        expect([kind, at, standing]).toEqual([kind, at, from]);
        expect(outcome).toMatchObject({
          code: expect.stringMatching(/^(DOMAIN_WRITE_FAILED|SYSTEM_CALL_FAILED)$/),
          // Whether a key was gone before its deletion failed, only the read back tells.
          reason: expect.stringMatching(kind === "hangs" ? /^ETIMEDOUT$/ : /^(EXIT_1|READ_BACK)$/),
        });
      }
      const left = readdirSync(mac.temporary).map((name) => readdirSync(`${mac.temporary}/${name}`));
      expect(left.flat()).toEqual([]);
    }
  }
});

test.for(CASES)("%s, import %s: a process that dies leaves a known state", async ([, , start]) => {
  const count = await callsOf(start);
  const { store: first, from: before, to: after } = await start();
  const hasHalves = (first.partsOf(before, after) ?? []).some(({ to }) => to === null);
  let halves = 0;
  for (const kind of ["dies-before", "dies-after"] as const) {
    for (let at = 1; at <= count; at += 1) {
      const started = await start();
      const { mac, store, from, to } = started;
      mac.fault({ at, kind });
      await expect(store.write(from, to)).rejects.toBeInstanceOf(ProcessDied);
      const standing = await afterwards(mac);
      const half = isKnownHalf(started, standing);
      expect([kind, at, half]).toEqual([kind, at, !isWhole(started, standing)]);
      if (half) halves += 1;
      const again = await openDefaultsStore(mac.world(), mac.server, { readOnly: false });
      await again.write(standing, from);
      expect(await imageIn(again)).toEqual(from);
      expect([kind, at, readdirSync(mac.temporary)]).toEqual([kind, at, []]);
    }
  }
  expect(halves > 0).toBe(hasHalves);
});

test.for(CASES)("%s, import %s: is half done when it cannot be taken back either", async ([, , start]) => {
  const isChange = (line: string) => /^defaults (delete|import) com/.test(line);
  const { mac: counted, store: counting, from: one, to: other } = await start();
  let changes = 0;
  counted.beforeCall = (line) => {
    if (isChange(line)) changes += 1;
  };
  await counting.write(one, other);
  for (let k = 1; k <= changes; k += 1) {
    const started = await start();
    const { mac, store, from, to } = started;
    let left = k;
    mac.beforeCall = (line) => {
      if (!isChange(line)) return;
      left -= 1;
      if (left <= 0) mac.refuseChanges(true);
    };
    const problem = await store.write(from, to).then(
      () => null,
      (error: unknown) => problemIn(Promise.reject(error)),
    );
    const standing = await afterwards(mac);
    expect([k, isKnownHalf(started, standing)]).toEqual([k, !isWhole(started, standing)]);
    if (problem === null) expect(standing).toEqual(to);
    else expect(problem).toMatchObject({ code: "DOMAIN_WRITE_FAILED", path: mac.settingsPath });
  }
});

test.for(CASES)("%s, import %s: a taking back that dies leaves a known state", async ([, , start]) => {
  const count = await callsOf(start);
  let deaths = 0;
  for (let at = 1; at === deaths + 1; at += 1) {
    const started = await start();
    const { mac, store, from, to } = started;
    // All is written, and cannot be read back; then the process dies at some call of the taking back.
    const fails = mac.lines.length + count - 3;
    mac.beforeRun = (calls) => {
      if (calls === fails) mac.fault({ at: 1, kind: "fails" });
      if (calls === fails + at) mac.fault({ at: 1, kind: "dies-before" });
      if (calls === fails + at) deaths += 1;
    };
    const problem = await problemIn(store.write(from, to));
    expect(problem).toEqual({ code: "DOMAIN_WRITE_FAILED", path: mac.settingsPath, reason: "EXIT_1" });
    mac.beforeRun = () => undefined;
    const standing = await afterwards(mac);
    expect([at, isKnownHalf(started, standing)]).toEqual([at, !isWhole(started, standing)]);
    if (deaths < at) expect(standing).toEqual(from);
  }
  expect(deaths).toBeGreaterThan(5);
});

/** What a lossy way into the daemon makes something else of. */
const FRAGILE: DomainContent = new Map<string, PlistValue>([
  ["SULastCheckTime", { kind: "date", seconds: 801_234_567.25 }],
  ["Width", { kind: "real", bits: 0x3dcc_cccdn, width: 4 }],
  ["Deep", { kind: "array", items: [{ kind: "date", seconds: 0.1 }] }],
]);

test.for(CASES)("%s, import %s: values that change on their way are no obstacle", async ([, way, start]) => {
  const opened = async () => {
    const { mac, store, from, to } = await start();
    const fragile = (image: Image) => imageOf(bytesOf(new Map([...contentOf(image.bytes, ""), ...FRAGILE])));
    mac.values = new Map([...mac.values, ...FRAGILE]);
    mac.transport = "lossy";
    return { mac, store, from: fragile(from), to: fragile(to) };
  };
  const holds = async ({ store }: Started, wanted: Image) =>
    expect(store.partsOf(await imageIn(store), wanted)).toEqual([]);
  const started = await opened();
  const { mac, store, from, to } = started;
  const calls = mac.lines.length;
  await store.write(from, to);
  const count = mac.lines.length - calls;
  await holds(started, to);
  await store.write(to, from);
  await holds(started, from);
  if (way === "merges") {
    for (const [name, value] of FRAGILE) expect([name, mac.values.get(name)]).toEqual([name, value]);
  }
  // Any call that fails, that of the read back among them.
  for (let at = 1; at <= count; at += 1) {
    const failing = await opened();
    failing.mac.fault({ at, kind: "fails-after" });
    const isWritten = await failing.store.write(failing.from, failing.to).then(
      () => true,
      () => false,
    );
    failing.mac.fault(null);
    await holds(failing, isWritten ? failing.to : failing.from);
    expect(isKnownHalf(failing, await imageIn(failing.store))).toBe(false);
  }
});

test.for(Object.entries(WRITES))(
  "%s: what an import takes although it seemed to leave it comes back",
  async ([, start]) => {
    const { mac, store, from, to } = await start(true);
    mac.pathsDiffer = true;
    const imports = (store.partsOf(from, to) ?? []).some((part) => part.to !== null);
    const failed = { code: "DOMAIN_WRITE_FAILED", path: mac.settingsPath, reason: "READ_BACK" };
    if (imports) expect(await problemIn(store.write(from, to))).toEqual(failed);
    else await store.write(from, to);
    expect(await imageIn(store)).toEqual(imports ? from : to);
  },
);

test("nothing but what is to be set is handed over where an import merges, and all else where nobody can tell", async () => {
  const handedOver = async (prepare: (mac: MemoryDefaults) => void, replaces = false) => {
    const { mac, store, from } = await standingAt(SIGNED_IN, replaces);
    const image = await store.preview(from, REPLACE);
    prepare(mac);
    await store.write(from, image);
    const last = mac.handed.at(-1) ?? new Map();
    return [...last.keys()].sort();
  };
  const three = ["PlexOnlineMail", "PlexOnlineToken", "PlexOnlineUsername"];
  const all = [...SIGNED_IN.keys()].filter((name) => name !== "PlexOnlineHome").sort();
  expect(await handedOver(() => undefined)).toEqual(three);
  expect(await handedOver(() => undefined, true)).toEqual(all);
  for (let at = 1; at <= 4; at += 1) {
    for (const kind of ["fails", "hangs"] as const) {
      expect([at, kind, await handedOver((mac) => mac.fault({ at, kind }))]).toEqual([at, kind, all]);
    }
  }
  const unclear = (mac: MemoryDefaults) => {
    mac.probeExports = bytesOf(new Map([["Else", text("x")]]));
  };
  expect(await handedOver(unclear)).toEqual(all);
});

test("somebody else's key that comes in between ends a write, and stays", async () => {
  for (const start of [WRITES["remove"], WRITES["replace"]]) {
    if (start === undefined) throw new Error("no such write");
    const { mac, store, from, to } = await start(false);
    const foreign = ["Somebody", text("else")] as const;
    mac.beforeCall = (line) => {
      if (line.startsWith("defaults delete")) mac.values = new Map([...mac.values, foreign]);
    };
    const problem = await problemIn(store.write(from, to));
    expect(problem).toEqual({ code: "DOMAIN_WRITE_FAILED", path: mac.settingsPath, reason: "READ_BACK" });
    mac.beforeCall = () => undefined;
    expect(await imageIn(store)).toEqual(imageOf(bytesOf(new Map([...SIGNED_IN, foreign]))));
  }
});

test("a folder that is not the account's own is never read, and goes", async () => {
  const { mac } = await standingAt(SIGNED_IN, false);
  const account = { ...mac.server.account, uid: mac.server.account.uid + 1 };
  const world = { ...mac.world(), user: { ...mac.world().user, uid: account.uid } };
  const store = await openDefaultsStore(world, { ...mac.server, account }, { readOnly: true });
  expect(await problemIn(store.readImage())).toEqual({
    code: "SETTINGS_UNSAFE",
    path: mac.settingsPath,
    reason: "foreign-owner",
  });
  expect(readdirSync(mac.temporary)).toEqual([]);
});

test("an exported file that is a link, or no property list, is not taken", async () => {
  const { mac, store } = await standingAt(SIGNED_IN, false);
  const aside = `${mac.temporary}/../aside`;
  writeFileSync(aside, "");
  mac.beforeCall = (line) => {
    if (line.startsWith("defaults export")) symlinkSync(aside, line.slice(line.lastIndexOf(" ") + 1));
  };
  expect(await problemIn(store.readImage())).toMatchObject({
    code: "SETTINGS_UNSAFE",
    reason: "link-target",
  });
  mac.beforeCall = () => undefined;
  mac.exports = new TextEncoder().encode("{ a = 1; }");
  expect(await problemIn(store.readImage())).toMatchObject({ code: "SETTINGS_MALFORMED" });
  mac.exports = new Uint8Array(1024 * 1024 + 1);
  expect(await problemIn(store.readImage())).toMatchObject({
    code: "SETTINGS_MALFORMED",
    reason: "too-large",
  });
  expect(readdirSync(mac.temporary)).toEqual([]);
});
