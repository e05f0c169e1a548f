import type { Registry, RegistryKey, RegistryValue } from "../../src/world/windows-system.ts";
import { SystemError } from "../../src/world/world.ts";

/** One call that reached the registry; `path` with its root, or `HKEY_USERS\mount` of a hive. */
export interface RegistryCall {
  readonly call: keyof Registry;
  readonly path: string;
  /** The value's name, or the hive's file. */
  readonly name?: string;
}

/** The process that called is dead: nothing happens any more until `revive`. */
export class ProcessDied extends Error {}

/**
 * A registry in memory: keys and names without regard to case and in kept order, a value that is set again keeps its
 * old name and place, hives hang below HKEY_USERS and keep what was written when they are unloaded. The set-up
 * functions take whole paths (`HKEY_USERS\S-1-5-21-7\Software`) and reach no log; calls of the port do.
 */
export class MemoryRegistry implements Registry {
  /** Every call of the port, refused ones too, in order. */
  readonly calls: RegistryCall[] = [];
  /** Whether this process holds the privileges that loading a hive needs. */
  mayLoadHives = true;
  /** Runs before each call takes effect, with its number (from 1); a throw is the call's answer. */
  beforeCall: (call: RegistryCall, number: number) => void = () => undefined;
  readonly #machine = newHive();
  readonly #mounts = new Map<string, { readonly name: string; readonly hive: Hive }>();
  readonly #files = new Map<string, Hive>();
  readonly #readOnly = new Set<string>();
  readonly #hidden = new Set<string>();
  readonly #busyMounts = new Map<string, number>();
  readonly #faults: Fault[] = [];
  #dead = false;

  // Set-up and looking, for tests.

  /** Makes the key (and its parents), with these values and no others. */
  setKey(path: string, values: readonly RegistryValue[] = []): void {
    const { hive, inner } = this.#placeToMake(path);
    makeKey(hive, inner).values = values.map(copyOf);
  }

  /** With everything below it. */
  removeKey(path: string): void {
    const [root = "", ...parts] = path.split("\\");
    if (fold(root) === "HKEY_USERS" && parts.length === 1) {
      this.#mounts.delete(fold(parts[0] ?? ""));
      return;
    }
    const place = this.#place(path);
    if (place === null) return;
    const inner = fold(place.inner);
    for (const key of [...place.hive.keys.keys()]) {
      if (key === inner || key.startsWith(`${inner}\\`)) place.hive.keys.delete(key);
    }
  }

  /** What stands in a key, without a call; null when it is not there. */
  valuesAt(path: string): readonly RegistryValue[] | null {
    const place = this.#place(path);
    return place?.hive.keys.get(fold(place.inner))?.values.map(copyOf) ?? null;
  }

  /** Setting and deleting in the key and below it are refused (`EACCES`). */
  makeReadOnly(path: string): void {
    this.#readOnly.add(fold(path));
  }

  /** Reading the key and below it is refused as well. */
  makeHidden(path: string): void {
    this.#hidden.add(fold(path));
  }

  /** A hive's file that is not loaded; keys by their path in the hive (`Software\Plex, Inc.`). */
  addHiveFile(file: string, keys: Readonly<Record<string, readonly RegistryValue[]>>): void {
    const hive = newHive();
    for (const [path, values] of Object.entries(keys)) makeKey(hive, path).values = values.map(copyOf);
    this.#files.set(fold(file), hive);
  }

  /** What a hive's file holds in a key, loaded or not. */
  valuesInFile(file: string, path: string): readonly RegistryValue[] | null {
    return this.#files.get(fold(file))?.keys.get(fold(path))?.values.map(copyOf) ?? null;
  }

  /** As the system does at sign-in, or as a run that died left it behind: no call, no privilege. */
  mount(mount: string, file: string): void {
    const hive = this.#files.get(fold(file));
    if (hive === undefined) throw new Error(`no hive file ${file}`);
    if ([...this.#mounts.values()].some((other) => other.hive === hive)) throw new Error(`${file} is loaded`);
    this.#mounts.set(fold(mount), { name: mount, hive });
  }

  /** As the system does when the last process of an account has ended. */
  unmount(mount: string): void {
    this.#mounts.delete(fold(mount));
  }

  /** The names below HKEY_USERS now. */
  mounted(): string[] {
    return [...this.#mounts.values()].map(({ name }) => name);
  }

  /** Somebody holds a key in the mount open: its next unloads are refused (`EACCES`, as Windows does). */
  keepBusy(mount: string, refusals: number): void {
    this.#busyMounts.set(fold(mount), refusals);
  }

  /**
   * The k-th of those calls from now on (1 is the next) is refused with the code. `done`: it takes effect all the same.
   * `lasting`: so are all of them after it. Without `calls`: of those that change something.
   */
  failAt(k: number, code: string, options: FaultOptions = {}): void {
    this.#faults.push({ left: k, code, calls: CHANGING, done: false, lasting: false, ...options });
  }

  /** The process dies before the k-th changing call from now on (or before the k-th of `calls`) takes effect. */
  dieAt(k: number, calls: readonly (keyof Registry)[] = CHANGING): void {
    this.#faults.push({ left: k, code: "DIED", calls, done: false, lasting: false });
  }

  /** Another process looks at what stands there: no more faults. */
  revive(): void {
    this.#dead = false;
    this.#faults.length = 0;
  }

  /** The calls that changed, or were to change, something. */
  changes(): RegistryCall[] {
    return this.calls.filter(({ call }) => CHANGING.includes(call));
  }

  // The port.

  async values(key: RegistryKey): Promise<readonly RegistryValue[] | null> {
    return this.#call({ call: "values", path: pathOf(key) }, () => {
      this.#demandVisible(key);
      return this.valuesAt(pathOf(key));
    });
  }

  async subkeys(key: RegistryKey): Promise<readonly string[] | null> {
    return this.#call({ call: "subkeys", path: pathOf(key) }, () => {
      this.#demandVisible(key);
      const path = pathOf(key);
      if (fold(path) === "HKEY_USERS") return this.mounted();
      const place = this.#place(path);
      if (place === null || !place.hive.keys.has(fold(place.inner))) return null;
      const above = place.inner === "" ? "" : `${fold(place.inner)}\\`;
      return [...place.hive.keys.entries()]
        .filter(([at]) => at !== "" && at.startsWith(above) && !at.slice(above.length).includes("\\"))
        .map(([, { name }]) => name);
    });
  }

  async mayWrite(key: RegistryKey): Promise<boolean> {
    return this.#call({ call: "mayWrite", path: pathOf(key) }, () => {
      this.#demandKey(key);
      return !this.#isBelow(this.#readOnly, pathOf(key));
    });
  }

  async createKey(key: RegistryKey): Promise<void> {
    return this.#call({ call: "createKey", path: pathOf(key) }, () => {
      if (this.valuesAt(pathOf(key)) !== null) return;
      this.#demandWritable(key);
      const place = this.#place(pathOf(key));
      // Nobody makes a key directly below HKEY_USERS: hives hang there.
      if (place === null) throw new SystemError("WIN32_87", "createKey", pathOf(key));
      makeKey(place.hive, place.inner);
    });
  }

  async setValue(key: RegistryKey, value: RegistryValue): Promise<void> {
    return this.#call({ call: "setValue", path: pathOf(key), name: value.name }, () => {
      const record = this.#demandKey(key);
      this.#demandWritable(key);
      const at = record.values.findIndex(({ name }) => fold(name) === fold(value.name));
      const old = record.values[at];
      if (old === undefined) record.values.push(copyOf(value));
      else record.values[at] = { ...copyOf(value), name: old.name };
    });
  }

  async deleteValue(key: RegistryKey, name: string): Promise<void> {
    return this.#call({ call: "deleteValue", path: pathOf(key), name }, () => {
      const record = this.#demandKey(key);
      this.#demandWritable(key);
      record.values = record.values.filter((value) => fold(value.name) !== fold(name));
    });
  }

  async flush(key: RegistryKey): Promise<void> {
    return this.#call({ call: "flush", path: pathOf(key) }, () => {
      this.#demandKey(key);
    });
  }

  async loadHive(mount: string, file: string): Promise<void> {
    const path = `HKEY_USERS\\${mount}`;
    return this.#call({ call: "loadHive", path, name: file }, () => {
      if (!this.mayLoadHives) throw new SystemError("EPERM", "loadHive", path);
      const hive = this.#files.get(fold(file));
      if (hive === undefined) throw new SystemError("ENOENT", "loadHive", path);
      const taken = this.#mounts.has(fold(mount)) || [...this.#mounts.values()].some((m) => m.hive === hive);
      if (taken) throw new SystemError("EBUSY", "loadHive", path);
      this.#mounts.set(fold(mount), { name: mount, hive });
    });
  }

  async unloadHive(mount: string): Promise<void> {
    const path = `HKEY_USERS\\${mount}`;
    return this.#call({ call: "unloadHive", path }, () => {
      if (!this.mayLoadHives) throw new SystemError("EPERM", "unloadHive", path);
      if (!this.#mounts.has(fold(mount))) throw new SystemError("ENOENT", "unloadHive", path);
      const refusals = this.#busyMounts.get(fold(mount)) ?? 0;
      if (refusals > 0) {
        this.#busyMounts.set(fold(mount), refusals - 1);
        throw new SystemError("EACCES", "unloadHive", path);
      }
      this.#mounts.delete(fold(mount));
    });
  }

  #call<T>(call: RegistryCall, effect: () => T): T {
    if (this.#dead) throw new ProcessDied();
    this.calls.push(call);
    this.beforeCall(call, this.calls.length);
    const fault = this.#faultOf(call.call);
    if (fault === undefined) return effect();
    if (fault.code === "DIED") {
      this.#dead = true;
      throw new ProcessDied();
    }
    if (fault.done) effect();
    throw new SystemError(fault.code, call.call, call.path);
  }

  #faultOf(call: keyof Registry): Fault | undefined {
    for (const fault of this.#faults.filter(({ calls }) => calls.includes(call))) {
      fault.left -= 1;
      if (fault.left === 0 || (fault.left < 0 && fault.lasting)) return fault;
    }
    return undefined;
  }

  #demandKey(key: RegistryKey): KeyRecord {
    this.#demandVisible(key);
    const place = this.#place(pathOf(key));
    const record = place?.hive.keys.get(fold(place.inner));
    if (record === undefined) throw new SystemError("ENOENT", "openKey", pathOf(key));
    return record;
  }

  #demandVisible(key: RegistryKey): void {
    const path = pathOf(key);
    if (this.#isBelow(this.#hidden, path)) throw new SystemError("EACCES", "openKey", path);
  }

  #demandWritable(key: RegistryKey): void {
    const path = pathOf(key);
    if (this.#isBelow(this.#readOnly, path)) throw new SystemError("EACCES", "openKey", path);
  }

  #isBelow(tops: ReadonlySet<string>, path: string): boolean {
    return [...tops].some((top) => fold(path) === top || fold(path).startsWith(`${top}\\`));
  }

  #place(path: string): { readonly hive: Hive; readonly inner: string } | null {
    const [root = "", ...parts] = path.split("\\");
    if (fold(root) === "HKEY_LOCAL_MACHINE") return { hive: this.#machine, inner: parts.join("\\") };
    const [mount = "", ...inner] = parts;
    const mounted = this.#mounts.get(fold(mount));
    return mounted === undefined ? null : { hive: mounted.hive, inner: inner.join("\\") };
  }

  #placeToMake(path: string): { readonly hive: Hive; readonly inner: string } {
    const place = this.#place(path);
    if (place !== null) return place;
    const [, mount = "", ...inner] = path.split("\\");
    const hive = newHive();
    this.#mounts.set(fold(mount), { name: mount, hive });
    return { hive, inner: inner.join("\\") };
  }
}

export interface FaultOptions {
  readonly calls?: readonly (keyof Registry)[];
  readonly done?: boolean;
  readonly lasting?: boolean;
}

/** The calls that change values or keys. */
export const CHANGING: readonly (keyof Registry)[] = ["createKey", "setValue", "deleteValue"];

/** A text as Windows programs write it, with its NUL. */
export function textValue(name: string, text: string, type = 1): RegistryValue {
  return { name, type, bytes: new Uint8Array(Buffer.from(`${text}\0`, "utf16le")) };
}

export function dwordValue(name: string, number: number): RegistryValue {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, number, true);
  return { name, type: 4, bytes };
}

export function binaryValue(name: string, bytes: readonly number[], type = 3): RegistryValue {
  return { name, type, bytes: Uint8Array.from(bytes) };
}

/** Whether the registry takes two names for one. */
export function sameName(one: string, other: string): boolean {
  return fold(one) === fold(other);
}

interface KeyRecord {
  /** Its own name, in the case it was made with. */
  readonly name: string;
  values: RegistryValue[];
}

/** Keys by their folded path in the hive; the hive's own key is "". */
interface Hive {
  readonly keys: Map<string, KeyRecord>;
}

interface Fault {
  left: number;
  readonly code: string;
  readonly calls: readonly (keyof Registry)[];
  readonly done: boolean;
  readonly lasting: boolean;
}

function newHive(): Hive {
  return { keys: new Map([["", { name: "", values: [] }]]) };
}

function makeKey(hive: Hive, path: string): KeyRecord {
  let at = "";
  let record = hive.keys.get("");
  for (const name of path === "" ? [] : path.split("\\")) {
    at = at === "" ? name : `${at}\\${name}`;
    record = hive.keys.get(fold(at)) ?? { name, values: [] };
    hive.keys.set(fold(at), record);
  }
  if (record === undefined) throw new Error("a hive has a key of its own");
  return record;
}

/** The 32-bit view of the machine's software is a key of its own, as on Windows. */
function pathOf({ root, path, view }: RegistryKey): string {
  const whole = path === "" ? root : `${root}\\${path}`;
  if (view !== "32" || root !== "HKEY_LOCAL_MACHINE") return whole;
  return whole.replace(/^(HKEY_LOCAL_MACHINE\\SOFTWARE)(\\|$)/i, "$1\\WOW6432Node$2");
}

function copyOf({ name, type, bytes }: RegistryValue): RegistryValue {
  return { name, type, bytes: Uint8Array.from(bytes) };
}

/** Unit by unit, as Windows does: no character becomes two, and none that is not ASCII becomes one that is. */
function fold(name: string): string {
  return name
    .split("")
    .map((unit) => {
      const upper = unit.toUpperCase();
      return upper.length > 1 || (unit > "\x7f" && upper <= "\x7f") ? unit : upper;
    })
    .join("");
}
