import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Problem } from "../../src/model/problem.ts";
import { type DefaultsWorld, openDefaultsStore } from "../../src/stores/defaults-store.ts";
import type { Image, SettingsStore } from "../../src/stores/store.ts";
import { REMOVE, replaceWith } from "./defaults-contents.ts";
import { type From, type Mac, openMac } from "./mac.ts";
import { APPLICATION } from "./mac-application.ts";
import type { MacSwitches } from "./mac-switches.ts";
import { integer, type MacValue, type MacValues, settingsOf, string } from "./mac-values.ts";
import { problemIn } from "./registry-store-contract.ts";

export const DOMAIN = APPLICATION.bundleId;
export const PLIST = `/Users/jane/Library/Preferences/${DOMAIN}.plist`;
export const OLD_TOKEN = "old-token-of-the-mac";

/** A server's domain as one that has been in use has it, with the four values. */
export const IN_USE: MacValues = settingsOf(
  new Map([
    ["MachineIdentifier", "6f1c1c5e-0f2e-4d43-9f5e-2f0a5a9f3b11"],
    ["ProcessedMachineIdentifier", "0123456789abcdef0123456789abcdef01234567"],
    ["PlexOnlineToken", OLD_TOKEN],
    ["PlexOnlineUsername", "Jürgen 日本"],
    ["PlexOnlineMail", "old@example.org"],
    ["PlexOnlineHome", "1"],
    ["FriendlyName", "Büro"],
  ]),
);

/** A Mac of the running test with two accounts, jane's domain in memory and in its file. */
export async function macWith(values: MacValues | null, switches: Partial<MacSwitches> = {}): Promise<Mac> {
  const mac = await openMac({ users: [{ name: "jane" }, { name: "bob" }], switches });
  onTestFinished(() => mac.close());
  if (values !== null) await layDown(mac, values);
  return mac;
}

/** Puts exactly these values into jane's domain, and the daemon writes its file. */
export async function layDown(mac: Mac, values: MacValues): Promise<void> {
  await mac.control("jane", { do: "write", domain: DOMAIN, replace: true, values: [...values] });
  await mac.flush();
}

export interface AsWhom {
  readonly user?: string;
  readonly from?: From;
  readonly readOnly?: boolean;
}

/** The store of jane's server, opened by a process of one of the accounts. */
export function storeOn(mac: Mac, { user = "jane", from, readOnly = false }: AsWhom = {}) {
  const { name, uid, gid } = mac.userNamed("jane");
  const server = { settingsPath: PLIST, account: { name, uid, gid } };
  return openDefaultsStore(worldOn(mac, user, from), server, { readOnly });
}

/** A process of one of the accounts. */
export function worldOn(mac: Mac, user: string, from?: From): DefaultsWorld {
  const processes = { ownPid: process.pid, plexMediaServers: async () => [] };
  return { ...mac.world(user, from === undefined ? {} : { from }), processes };
}

export async function imageIn(store: SettingsStore): Promise<Image> {
  const stored = await store.readImage();
  if (stored === null) throw new Error("there is no domain");
  return stored.image;
}

/** By their names: a Mac keeps no order. */
export function sorted(values: MacValues): [string, MacValue][] {
  return [...values].sort(([one], [other]) => (one < other ? -1 : 1));
}

export async function standing(mac: Mac): Promise<[string, MacValue][]> {
  return sorted(await mac.values("jane", DOMAIN));
}

/** What lies in the folders for things that do not last. */
export async function leftovers(mac: Mac): Promise<string[]> {
  const names = await readdir(mac.real("/private/var/folders"), { recursive: true }).catch(() => []);
  return names.filter((name) => name.includes("plex-reclaim"));
}

/** Without the four. */
export function others(values: MacValues): MacValues {
  return new Map([...values].filter(([name]) => !name.startsWith("PlexOnline")));
}

/**
 * What the store of settings promises on a Mac, whichever way it works that nobody has seen yet, and whoever asks: the
 * account itself, or root for it.
 */
export function defaultsStoreContract(title: string, switches: Partial<MacSwitches>, asWhom: AsWhom): void {
  const place = async (values: MacValues | null) => {
    const mac = await macWith(values, switches);
    return { mac, store: await storeOn(mac, asWhom) };
  };

  describe(title, () => {
    test("has no image where there is no domain, and makes one there, over nobody's values", async () => {
      const { mac, store } = await place(null);
      expect(await store.readImage()).toBeNull();
      await store.proveWritable(4_000);
      const elsewhere = await storeOn(await macWith(IN_USE));
      const image = await imageIn(elsewhere);
      await store.write(null, image);
      expect(await standing(mac)).toEqual(sorted(IN_USE));
      expect(await problemIn(store.write(null, image))).toEqual({
        code: "SETTINGS_CHANGED_MEANWHILE",
        path: PLIST,
      });
      expect(await standing(mac)).toEqual(sorted(IN_USE));
    });

    test("has the same image whatever order the values are in, and keeps the file as it lies there", async () => {
      const { mac, store } = await place(IN_USE);
      const stored = await store.readImage();
      expect(stored?.metadata).toBeNull();
      expect(stored?.original).toEqual({
        name: `${DOMAIN}.plist`,
        bytes: new Uint8Array(await readFile(mac.real(PLIST))),
      });
      const { bytes, sha256 } = stored?.image ?? { bytes: new Uint8Array(), sha256: "" };
      expect(sha256).toBe(createHash("sha256").update(bytes).digest("hex"));
      expect(Buffer.from(bytes.subarray(0, 8)).toString()).toBe("bplist00");
      await layDown(mac, new Map([...IN_USE].reverse()));
      await mac.setSwitches({ keyOrder: "kept" });
      expect(await imageIn(store)).toEqual({ bytes, sha256 });
      expect(await leftovers(mac)).toEqual([]);
    });

    test("signs out: the four are gone, all else stands as it was, and comes back exactly", async () => {
      const { mac, store } = await place(IN_USE);
      const image = await imageIn(store);
      const without = await store.preview(image, REMOVE);
      await store.write(image, without);
      expect(await standing(mac)).toEqual(sorted(others(IN_USE)));
      expect(await imageIn(store)).toEqual(without);
      expect(store.differences(image, without)).toBe(0);
      await store.write(without, image);
      expect(await standing(mac)).toEqual(sorted(IN_USE));
      await mac.flush();
      expect(sorted(await mac.fileValues(PLIST))).toEqual(sorted(IN_USE));
    });

    test("signs in anew, and shows no token to those who list processes", async () => {
      const { mac, store } = await place(IN_USE);
      const image = await imageIn(store);
      const fresh = await store.preview(
        image,
        replaceWith("new-token-of-the-mac", "Ана 😀", "n@example.org"),
      );
      await store.write(image, fresh);
      const wanted = new Map<string, MacValue>([
        ...others(IN_USE),
        ["PlexOnlineToken", string("new-token-of-the-mac")],
        ["PlexOnlineUsername", string("Ана 😀")],
        ["PlexOnlineMail", string("n@example.org")],
      ]);
      expect(await standing(mac)).toEqual(sorted(wanted));
      expect(store.parse(await imageIn(store)).credentials.token?.reveal()).toBe("new-token-of-the-mac");
      const called = JSON.stringify(await mac.calledWith());
      expect(called).toContain(DOMAIN);
      for (const secret of ["new-token-of-the-mac", OLD_TOKEN, "example.org"]) {
        expect(called).not.toContain(secret);
      }
      expect(await leftovers(mac)).toEqual([]);
      expect(await mac.values("root", DOMAIN)).toEqual(new Map());
    });

    test("restores what had other keys and no token, and takes away what came since", async () => {
      const { mac, store } = await place(IN_USE);
      const before: MacValues = new Map([
        ...others(IN_USE),
        ["Gone", integer(1n)],
        ["FriendlyName", string("x")],
      ]);
      const image = await imageIn(await storeOn(await macWith(before)));
      await mac.setValues("jane", DOMAIN, { Added: integer(2n ** 64n - 1n) });
      await store.write(await imageIn(store), image);
      expect(await standing(mac)).toEqual(sorted(before));
    });

    test("refuses over what somebody changed meanwhile", async () => {
      const { mac, store } = await place(IN_USE);
      const image = await imageIn(store);
      const to = await store.preview(image, REMOVE);
      const changes: Readonly<Record<string, MacValue | null>>[] = [
        { FriendlyName: string("else") },
        { AcceptedEULA: integer(1) },
        { New: integer(1) },
        { AcceptedEULA: null },
      ];
      for (const change of changes) {
        await layDown(mac, IN_USE);
        await mac.setValues("jane", DOMAIN, change);
        const now = await standing(mac);
        const problem: Problem = await problemIn(store.write(image, to));
        expect(problem).toEqual({ code: "SETTINGS_CHANGED_MEANWHILE", path: PLIST });
        expect(await standing(mac)).toEqual(now);
      }
    });
  });
}
