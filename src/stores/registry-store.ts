import { createHash } from "node:crypto";
import { ProblemError } from "../model/problem.ts";
import type { Server } from "../model/server.ts";
import type { CredentialChange, Settings } from "../model/settings.ts";
import type { RegistryKey, RegistryValue, WindowsSystem } from "../world/windows-system.ts";
import { type Clock, SystemError } from "../world/world.ts";
import { type HiveFiles, type HiveRequest, inHive, isLoaded, letGo } from "./hive.ts";
import { imageOf } from "./preferences-file.ts";
import { malformed } from "./refusals.ts";
import { readOwnKey, writeRegistryFile } from "./registry-file.ts";
import {
  isBetween,
  isMixed,
  operationsBack,
  operationsBetween,
  partsOf,
  type RegistryOperation,
  sameValues,
  withoutParts,
} from "./registry-operations.ts";
import { differingOthers, editValues, isEditOf, settingsOfValues } from "./registry-settings.ts";
import { asNotReadable, asWriteFailed, ReadBackError } from "./replacement-errors.ts";
import type { Image, SettingsStore, StoredImage, WritePart } from "./store.ts";
import { changedMeanwhile, unsafe } from "./target-file.ts";

/**
 * The settings of a server on Windows: the values of one key, `HKEY_USERS\SID\Software\Plex, Inc.\Plex Media Server`
 * (support.plex.tv/articles/204281528 names it below HKEY_CURRENT_USER, which is another one for whoever runs us).
 * Keys below it are not ours: they are neither read nor written. An image is the canonical registry file of the key.
 *
 * Nothing is held open: each call works where the account's hive is by then (see `inHive`). Throws `SETTINGS_MISSING`
 * for a `settingsPath` that names no account's key. Besides what `SettingsStore` says, calls that look at the registry
 * throw `HIVE_UNAVAILABLE`, `SETTINGS_UNSAFE` (`link-target`: a symbolic link on the way to the key),
 * `SETTINGS_CHANGED_MEANWHILE` (values that do not hold still to be read) and `SYSTEM_CALL_FAILED`; reading throws `SETTINGS_MALFORMED` for a name that the image cannot hold (a line break in it).
 */
export async function openRegistryStore(
  windows: RegistryWindows,
  server: Pick<Server, "settingsPath">,
  options: RegistryStoreOptions = {},
): Promise<SettingsStore> {
  return new RegistryStore(windows, server.settingsPath, options);
}

export type RegistryWindows = Pick<WindowsSystem, "registry">;

export interface RegistryStoreOptions {
  /** With it the hive of an account that is not signed in may be loaded for a moment: its file is looked at before. */
  readonly hiveFiles?: HiveFiles;
  /** To wait a moment before something that was busy is tried again. */
  readonly clock?: Pick<Clock, "sleep">;
}

/** The largest image, in bytes; public samples have 15 to 80 values. */
const IMAGE_CAP_BYTES = 1024 * 1024;
const TAKE_BACK_ATTEMPTS = 3;
const ACCOUNT_KEY = /^HKEY_USERS\\(S-1-\d+(?:-\d+)+)\\([^\\]+(?:\\[^\\]+)*)$/i;

class RegistryStore implements SettingsStore {
  readonly kind = "registry";
  readonly location: string;
  readonly lockName: string;
  readonly #windows: RegistryWindows;
  readonly #options: RegistryStoreOptions;
  readonly #sid: string;
  readonly #path: string;

  constructor(windows: RegistryWindows, location: string, options: RegistryStoreOptions) {
    const [, sid, path] = ACCOUNT_KEY.exec(location) ?? [];
    if (sid === undefined || path === undefined) {
      throw new ProblemError({ code: "SETTINGS_MISSING", path: location });
    }
    this.location = location;
    const hash = createHash("sha256").update(location.toUpperCase()).digest("hex");
    this.lockName = `settings-${hash.slice(0, 32)}`;
    this.#windows = windows;
    this.#options = options;
    this.#sid = sid;
    this.#path = path;
  }

  async readImage(): Promise<StoredImage | null> {
    const values = await this.#readable(() => this.#inKey((key) => this.#standing(key)));
    if (values === null) return null;
    return { image: this.#imageOf(values), metadata: null };
  }

  parse(image: Image): Settings {
    return settingsOfValues(this.#valuesOf(image), this.location);
  }

  async preview(image: Image, change: CredentialChange): Promise<Image> {
    const before = this.#valuesOf(image);
    const edited = this.#imageOf(editValues(before, change, this.location));
    if (!isEditOf(before, this.#valuesOf(edited), change)) {
      throw new ProblemError({ code: "INTERNAL", detail: "registry-edit" });
    }
    return edited;
  }

  async proveWritable(): Promise<void> {
    const mayWrite = await this.#readable(() => this.#inKey((key) => this.#mayWrite(key)));
    if (!mayWrite) throw this.#needsPrivilege();
  }

  differences(one: Image, other: Image): number {
    const [first, second] = [this.#valuesOrNull(one), this.#valuesOrNull(other)];
    return first === null || second === null ? 0 : differingOthers(first, second);
  }

  partsOf(from: Image | null, to: Image): readonly WritePart[] {
    return partsOf(operationsBetween(from === null ? [] : this.#valuesOf(from), this.#valuesOf(to)));
  }

  isHalfWritten(standing: Image, from: Image | null, parts: readonly WritePart[]): boolean {
    const [now, before] = [this.#valuesOrNull(standing), from === null ? [] : this.#valuesOrNull(from)];
    return now !== null && before !== null && isMixed(now, before, parts);
  }

  withoutParts(standing: Image, from: Image | null, parts: readonly WritePart[]): Image {
    const before = from === null ? [] : this.#valuesOf(from);
    return this.#imageOf(withoutParts(this.#valuesOf(standing), before, parts));
  }

  async write(expected: Image | null, image: Image): Promise<void> {
    const before = expected === null ? null : this.#valuesOf(expected);
    const progress: Progress = { stage: "comparing", done: 0 };
    const goal = { before, after: this.#valuesOf(image) };
    try {
      await this.#inKey((key) => this.#writeOnce(key, goal, progress));
    } catch (error) {
      // Written, and only the hive could not be let go yet: `letGo` waits for that, or says so.
      if (progress.stage === "written") return;
      if (progress.stage === "comparing") throw this.#asNotReadable(error);
      const isAsBefore = await this.#takeBack(goal);
      throw this.#asNotWritten(error, isAsBefore && progress.done === 0);
    }
  }

  async isDurable(): Promise<boolean> {
    // A write has flushed the key before it answered.
    return true;
  }

  async letGo(): Promise<void> {
    if (this.#options.hiveFiles !== undefined) await letGo(this.#windows.registry, this.#request());
  }

  async close(): Promise<void> {
    // Nothing is held open.
  }

  /** May be begun again when the hive has gone elsewhere: what stands there is then a part of our own work. */
  async #writeOnce(key: RegistryKey, { before, after }: Goal, progress: Progress): Promise<void> {
    const { registry } = this.#windows;
    const standing = await this.#standing(key);
    if (progress.stage === "comparing") {
      // A key without values is as good as none: nothing in it can be lost.
      if (!sameValues(standing ?? [], before ?? [])) throw changedMeanwhile(this.location);
    } else if (!isBetween(standing ?? [], before ?? [], partsOf(operationsBetween(before ?? [], after)))) {
      throw new ReadBackError();
    }
    progress.stage = "changing";
    if (standing === null) {
      await registry.createKey(key);
      progress.done += 1;
    }
    for (const operation of operationsBetween(standing ?? [], after)) {
      await this.#perform(key, operation);
      progress.done += 1;
    }
    await registry.flush(key);
    const written = await this.#standing(key);
    if (written === null || !sameValues(written, after)) throw new ReadBackError();
    progress.stage = "written";
  }

  /**
   * Whether all is as before. A key that was made stays, without values: nothing removes keys. Never throws: what led
   * here is the error to report, and `isHalfWritten` knows what is left.
   */
  async #takeBack(goal: Goal): Promise<boolean> {
    for (let attempt = 1; attempt <= TAKE_BACK_ATTEMPTS; attempt += 1) {
      try {
        if (await this.#inKey((key) => this.#takeBackOnce(key, goal))) return true;
      } catch {
        // Tried again, or reported as what the write itself ran into.
      }
    }
    return false;
  }

  async #takeBackOnce(key: RegistryKey, { before, after }: Goal): Promise<boolean> {
    const standing = await this.#standing(key);
    const from = before ?? [];
    if (standing === null) return from.length === 0;
    for (const operation of operationsBack(operationsBetween(from, after), from, standing)) {
      await this.#perform(key, operation);
    }
    await this.#windows.registry.flush(key);
    return sameValues((await this.#standing(key)) ?? [], from);
  }

  async #perform(key: RegistryKey, { name, to }: RegistryOperation): Promise<void> {
    const { registry } = this.#windows;
    await (to === null ? registry.deleteValue(key, name) : registry.setValue(key, to));
  }

  /** Where there is no key yet, that of the nearest one above it, in which it would be made. */
  async #mayWrite(key: RegistryKey): Promise<boolean> {
    const { registry } = this.#windows;
    const parts = key.path.split("\\");
    for (let length = parts.length; length > 1; length -= 1) {
      const above = { ...key, path: parts.slice(0, length).join("\\") };
      if ((await registry.values(above)) !== null) return registry.mayWrite(above);
    }
    return registry.mayWrite({ ...key, path: parts[0] ?? "" });
  }

  /** The values by now, of one moment; null: no such key. `ESTALE` when the key is gone with its hive. */
  async #standing(key: RegistryKey): Promise<readonly RegistryValue[] | null> {
    const { registry } = this.#windows;
    const values = await registry.values(key);
    if (values === null && !(await isLoaded(registry, key.path.split("\\")[0] ?? ""))) {
      throw new SystemError("ESTALE", "values", this.location);
    }
    return values;
  }

  #inKey<T>(work: (key: RegistryKey) => Promise<T>): Promise<T> {
    return inHive(this.#windows.registry, this.#request(), (root) =>
      work({ root: "HKEY_USERS", path: `${root}\\${this.#path}` }),
    );
  }

  #request(): HiveRequest {
    const { hiveFiles = null, clock } = this.#options;
    return { sid: this.#sid, path: this.location, files: hiveFiles, ...(clock !== undefined && { clock }) };
  }

  async #readable<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      throw this.#asNotReadable(error);
    }
  }

  #imageOf(values: readonly RegistryValue[]): Image {
    const bytes = writeRegistryFile(this.location, values);
    if (bytes.length > IMAGE_CAP_BYTES) throw malformed(this.location, "too-large");
    return imageOf(bytes);
  }

  #valuesOf(image: Image): readonly RegistryValue[] {
    return readOwnKey(image.bytes, this.location, this.location);
  }

  #valuesOrNull(image: Image): readonly RegistryValue[] | null {
    try {
      return this.#valuesOf(image);
    } catch (error) {
      if (error instanceof ProblemError) return null;
      throw error;
    }
  }

  #asNotReadable(error: unknown): unknown {
    switch (error instanceof SystemError ? error.code : null) {
      case "ELOOP":
        return unsafe(this.location, "link-target", error);
      case "EFBIG":
        return malformed(this.location, "too-large");
      case "EBUSY":
        return changedMeanwhile(this.location);
      default:
        return asNotReadable(error, this.location);
    }
  }

  #asNotWritten(error: unknown, nothingDone: boolean): unknown {
    if (nothingDone && error instanceof SystemError && error.code === "EACCES") {
      return this.#needsPrivilege(error);
    }
    if (error instanceof ProblemError && !nothingDone) {
      const reason = error.problem.code;
      return this.#writeFailed(reason, error);
    }
    const failure = asWriteFailed(error, this.location);
    const isPlain = failure instanceof ProblemError && failure.problem.code === "WRITE_FAILED";
    return isPlain ? this.#writeFailed(failure.problem.reason, error) : failure;
  }

  #writeFailed(reason: string, cause: unknown): ProblemError {
    return new ProblemError({ code: "REGISTRY_WRITE_FAILED", path: this.location, reason }, { cause });
  }

  #needsPrivilege(cause?: unknown): ProblemError {
    return new ProblemError({ code: "NEEDS_PRIVILEGE", path: this.location, line: "" }, { cause });
  }
}

interface Goal {
  /** Null: there was no key. */
  readonly before: readonly RegistryValue[] | null;
  readonly after: readonly RegistryValue[];
}

interface Progress {
  stage: "comparing" | "changing" | "written";
  /** Calls that have changed something. */
  done: number;
}
