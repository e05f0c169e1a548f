import type { RegistryFile } from "../../src/stores/registry-file.ts";
import type { MeantEntry, MeantKey } from "./registry-file-document.ts";

/**
 * A second reader of registry files, made in another way than ours (regular expressions over joined lines) and more
 * lenient: whatever ours accepts, it must read in the same way. Null for what it cannot read.
 */
export function referenceReading(bytes: Uint8Array): MeantKey[] | null {
  const text = decoded(bytes);
  if (text === null) return null;
  const [header = "", ...lines] = text.split("\n").map((line) => line.replace(/\r$/, ""));
  const narrow = /^REGEDIT4\s*$/.test(header);
  if (!narrow && !/^Windows Registry Editor Version 5\.00\s*(;.*)?$/.test(header)) return null;
  const keys: { path: string; remove: boolean; entries: MeantEntry[] }[] = [];
  for (const line of joined(lines)) {
    if (/^\s*(;.*)?$/s.test(line)) continue;
    const key = /^\s*\[(-?)(.*)\]\s*$/s.exec(line);
    if (key !== null) {
      keys.push({ path: key[2] ?? "", remove: key[1] === "-", entries: [] });
      continue;
    }
    const entry = entryOf(line, narrow);
    const last = keys.at(-1);
    if (entry === null || last === undefined) return null;
    last.entries.push(entry);
  }
  return keys;
}

/** What our reader found, without its lines. */
export function meaningOf({ keys }: RegistryFile): MeantKey[] {
  return keys.map(({ path, remove, entries }) => ({
    path,
    remove,
    entries: entries.map((entry) =>
      entry.kind === "set" ? { kind: "set", value: entry.value } : { kind: "delete", name: entry.name },
    ),
  }));
}

/** Anything of the above as a text to compare. */
export function plain(thing: unknown): string {
  return JSON.stringify(thing, (_, part: unknown) =>
    part instanceof Uint8Array ? Buffer.from(part).toString("hex") : part,
  );
}

/**
 * Whether a line of the file could be taken for another key than the account's own, for the deletion of one, or for
 * the deletion of a value; looked for line by line, without reading the file.
 */
export function asksForMore(bytes: Uint8Array, keyPath: string): boolean {
  const lines = (decoded(bytes) ?? "").split(/[\r\n]/).map((line) => line.trim());
  const alias = keyPath.replace(/^HKEY_USERS\\[^\\]+/, "HKEY_CURRENT_USER");
  const own = [keyPath, alias].map((path) => `[${path}]`.toLowerCase());
  const keys = lines.filter((line) => line.startsWith("["));
  return (
    keys.length !== 1 ||
    keys.some((line) => !own.includes(line.toLowerCase())) ||
    lines.some((line) => /^(@|"(?:[^"\\]|\\.)*")\s*=\s*-/s.test(line))
  );
}

const NAME = /^\s*(?:@|"((?:[^"\\]|\\.)*)")\s*=\s*/s;
const STARTS_HEX = /^\s*(?:@|"(?:[^"\\]|\\.)*")\s*=\s*hex/s;

function decoded(bytes: Uint8Array): string | null {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) {
    let text = "";
    for (let index = 2; index + 1 < bytes.length; index += 2) {
      text += String.fromCharCode((bytes[index] ?? 0) | ((bytes[index + 1] ?? 0) << 8));
    }
    return text;
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

function joined(lines: readonly string[]): string[] {
  const whole: string[] = [];
  for (let index = 0; index < lines.length; index += 1) {
    let line = lines[index] ?? "";
    if (STARTS_HEX.test(line)) {
      let open = /^([^;]*)\\\s*(;.*)?$/s.exec(afterName(line));
      while (open !== null && index + 1 < lines.length) {
        const kept = line.slice(0, line.length - afterName(line).length) + (open[1] ?? "");
        index += 1;
        while (index + 1 < lines.length && /^\s*(;.*)?$/s.test(lines[index] ?? "")) index += 1;
        line = kept + (lines[index] ?? "");
        open = /^([^;]*)\\\s*(;.*)?$/s.exec(afterName(line));
      }
    }
    whole.push(line);
  }
  return whole;
}

function afterName(line: string): string {
  return line.replace(NAME, "");
}

function entryOf(line: string, narrow: boolean): MeantEntry | null {
  const found = NAME.exec(line);
  if (found === null) return null;
  const name = unescaped(found[1] ?? "");
  const rest = line.slice(found[0].length);
  if (/^-\s*(;.*)?$/s.test(rest)) return { kind: "delete", name };
  const text = /^"((?:[^"\\]|\\.)*)"\s*(;.*)?$/s.exec(rest);
  if (text !== null) return set(name, 1, Buffer.from(`${unescaped(text[1] ?? "")}\0`, "utf16le"));
  const dword = /^dword:\s*([0-9a-f]{1,8})\s*(;.*)?$/is.exec(rest);
  if (dword !== null) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(Number.parseInt(dword[1] ?? "", 16));
    return set(name, 4, bytes);
  }
  const hex = /^hex(?:\(([0-9a-f]{1,8})\))?:([0-9a-f,\s]*)(;.*)?$/is.exec(rest);
  if (hex === null) return null;
  const type = Number.parseInt(hex[1] ?? "3", 16);
  const bytes = Buffer.from((hex[2] ?? "").replace(/[,\s]/g, ""), "hex");
  const wide = narrow && [1, 2, 7].includes(type);
  return set(name, type, wide ? Buffer.from(bytes.toString("latin1"), "utf16le") : bytes);
}

function set(name: string, type: number, bytes: Uint8Array): MeantEntry {
  return { kind: "set", value: { name, type, bytes: new Uint8Array(bytes) } };
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/gs, "$1");
}
