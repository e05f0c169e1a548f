import type { RegistryValue } from "../world/windows-system.ts";
import { malformed } from "./refusals.ts";
import type { RegistryFileEntry, RegistryFileKey } from "./registry-file.ts";
import { foldedName, MAX_VALUE_NAME_UNITS } from "./registry-file-names.ts";
import { type RegistryFileForm, type Units, utf16Bytes } from "./registry-file-text.ts";
import { isKeyPath, REG_BINARY, REG_DWORD, REG_SZ } from "./registry-file-values.ts";

/** The most keys and values together that are read from one file. */
const MAX_REGISTRY_FILE_PARTS = 65_536;

/**
 * The keys of a registry file, from `start` on: what follows the header in its line. Looks at no unit more often than
 * a fixed number of times. Throws `SETTINGS_MALFORMED`: `syntax`, `duplicate-value`, `too-large` (parts).
 */
export function scanRegistryText(
  units: Units,
  form: RegistryFileForm,
  start: number,
  path: string,
): readonly RegistryFileKey[] {
  return new Scan(units, form, start, path).keys();
}

interface OpenKey extends RegistryFileKey {
  readonly entries: RegistryFileEntry[];
  readonly names: Set<string>;
}

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const AT = 0x40;
const BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSING_BRACKET = 0x5d;

/** In `REGEDIT4` the hex of these types (REG_SZ, REG_EXPAND_SZ, REG_MULTI_SZ) is 8-bit text. */
const TEXT_TYPES: ReadonlySet<number> = new Set([REG_SZ, 2, 7]);

class Scan {
  readonly #units: Units;
  readonly #form: RegistryFileForm;
  readonly #path: string;
  readonly #keys: OpenKey[] = [];
  readonly #keyNames = new Set<string>();
  #index: number;
  #line = 1;
  #parts = 0;

  constructor(units: Units, form: RegistryFileForm, start: number, path: string) {
    this.#units = units;
    this.#form = form;
    this.#path = path;
    this.#index = start;
  }

  keys(): readonly RegistryFileKey[] {
    this.#endLine();
    while (!this.#isEnd()) {
      this.#skipBlanks();
      if (this.#here() === BRACKET) this.#key();
      else if (this.#here() === QUOTE || this.#here() === AT) this.#entry();
      this.#endLine();
    }
    return this.#keys.map(({ line, path, remove, entries }) => ({ line, path, remove, entries }));
  }

  #key(): void {
    const end = this.#endOfKey();
    const remove = this.#units.at(this.#index + 1) === MINUS;
    const path = this.#units.slice(this.#index + (remove ? 2 : 1), end - 1);
    if (!isKeyPath(path)) throw this.#syntax();
    this.#claim(this.#keyNames, path);
    this.#keys.push({ line: this.#line, path, remove, entries: [], names: new Set() });
    this.#index = end;
  }

  /** Behind the bracket that is the last thing in the line: a name of a key may hold brackets, and semicolons. */
  #endOfKey(): number {
    let end = this.#index;
    for (let index = end; !this.#isLineEnd(index); index += 1) {
      if (!isBlank(this.#units.at(index))) end = index + 1;
    }
    if (this.#units.at(end - 1) !== CLOSING_BRACKET) throw this.#syntax();
    return end;
  }

  #entry(): void {
    const key = this.#keys.at(-1);
    if (key === undefined || key.remove) throw this.#syntax();
    const line = this.#line;
    const name = this.#name();
    this.#claim(key.names, name);
    this.#skipBlanks();
    this.#expect(EQUALS);
    this.#skipBlanks();
    if (this.#here() === MINUS) {
      this.#index += 1;
      key.entries.push({ kind: "delete", line, name });
    } else key.entries.push({ kind: "set", line, value: { name, ...this.#data() } });
  }

  #name(): string {
    if (this.#here() === QUOTE) {
      const name = this.#quoted();
      if (name.length > MAX_VALUE_NAME_UNITS) throw this.#syntax();
      return name;
    }
    this.#expect(AT);
    return "";
  }

  #data(): Pick<RegistryValue, "type" | "bytes"> {
    if (this.#here() === QUOTE) return { type: REG_SZ, bytes: utf16Bytes(`${this.#quoted()}\0`) };
    if (this.#skipWord("dword:")) return { type: REG_DWORD, bytes: this.#dword() };
    if (this.#skipWord("hex:")) return { type: REG_BINARY, bytes: this.#hex() };
    if (!this.#skipWord("hex(")) throw this.#syntax();
    const type = this.#number();
    if (!this.#skipWord("):")) throw this.#syntax();
    const bytes = this.#hex();
    return { type, bytes: this.#form === "4" && TEXT_TYPES.has(type) ? this.#widened(bytes) : bytes };
  }

  /** Text in quotes, in which `\\` and `\"` stand for themselves: it may not go beyond its line. */
  #quoted(): string {
    const pieces: string[] = [];
    let start = this.#index + 1;
    for (let index = start; !this.#isLineEnd(index); index += 1) {
      const unit = this.#units.at(index);
      if (unit === QUOTE) {
        pieces.push(this.#units.slice(start, index));
        this.#index = index + 1;
        return pieces.join("");
      }
      if (unit !== BACKSLASH) continue;
      pieces.push(this.#units.slice(start, index));
      start = index + 1;
      index = start;
      if (this.#units.at(start) !== QUOTE && this.#units.at(start) !== BACKSLASH) throw this.#syntax();
    }
    throw this.#syntax();
  }

  #dword(): Uint8Array {
    this.#skipBlanks();
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, this.#number(), true);
    return bytes;
  }

  /** One to eight hex digits. */
  #number(): number {
    const start = this.#index;
    let number = 0;
    for (let digit = hexDigit(this.#here()); digit >= 0; digit = hexDigit(this.#here())) {
      number = number * 16 + digit;
      this.#index += 1;
      if (this.#index - start > 8) throw this.#syntax();
    }
    if (this.#index === start) throw this.#syntax();
    return number;
  }

  /** Bytes of two digits each, with a comma between them: a line goes on behind a comma, or behind the colon. */
  #hex(): Uint8Array {
    const bytes: number[] = [];
    this.#skipBlanks();
    if (this.#isLineEnd(this.#index)) return new Uint8Array();
    this.#skipContinuation();
    for (;;) {
      bytes.push(this.#digit() * 16 + this.#digit());
      if (this.#here() !== COMMA) return Uint8Array.from(bytes);
      this.#index += 1;
      this.#skipBlanks();
      this.#skipContinuation();
    }
  }

  #digit(): number {
    const digit = hexDigit(this.#here());
    if (digit < 0) throw this.#syntax();
    this.#index += 1;
    return digit;
  }

  /** A backslash that ends a line of hex; empty lines and comments may follow it, as regedit has it. */
  #skipContinuation(): void {
    if (this.#here() !== BACKSLASH) return;
    this.#index += 1;
    do {
      this.#endLine();
      this.#skipBlanks();
    } while (!this.#isEnd() && (this.#isLineEnd(this.#index) || this.#here() === SEMICOLON));
  }

  /** 8-bit text as the registry keeps it. Its NUL has to be there: else what regedit makes of it is a guess. */
  #widened(bytes: Uint8Array): Uint8Array {
    if (bytes.length === 0) return bytes;
    if (bytes.at(-1) !== 0 || bytes.some((byte) => byte > 0x7f)) throw this.#syntax();
    return Uint8Array.from({ length: bytes.length * 2 }, (_, index) =>
      index % 2 === 0 ? (bytes[index / 2] ?? 0) : 0,
    );
  }

  /** Blanks, a comment, and the end of the line or of the file; a comment never goes on in the next line. */
  #endLine(): void {
    this.#skipBlanks();
    if (this.#here() === SEMICOLON) {
      while (!this.#isLineEnd(this.#index)) this.#index += 1;
    }
    if (this.#isEnd()) return;
    if (this.#here() === CR) this.#index += 1;
    this.#expect(LF);
    this.#line += 1;
  }

  #skipBlanks(): void {
    while (isBlank(this.#here())) this.#index += 1;
  }

  #skipWord(word: string): boolean {
    for (let index = 0; index < word.length; index += 1) {
      if (this.#units.at(this.#index + index) !== word.charCodeAt(index)) return false;
    }
    this.#index += word.length;
    return true;
  }

  #expect(unit: number): void {
    if (this.#here() !== unit) throw this.#syntax();
    this.#index += 1;
  }

  #here(): number {
    return this.#units.at(this.#index);
  }

  #isEnd(): boolean {
    return Number.isNaN(this.#here());
  }

  /** Also before a CR without its LF, which nothing accepts: to regedit it ends a line, to others it does not. */
  #isLineEnd(index: number): boolean {
    const unit = this.#units.at(index);
    return unit === LF || unit === CR || Number.isNaN(unit);
  }

  #claim(taken: Set<string>, name: string): void {
    const folded = foldedName(name);
    if (taken.has(folded)) throw malformed(this.#path, "duplicate-value");
    taken.add(folded);
    this.#parts += 1;
    if (this.#parts > MAX_REGISTRY_FILE_PARTS) throw malformed(this.#path, "too-large");
  }

  #syntax(): Error {
    return malformed(this.#path, "syntax");
  }
}

function isBlank(unit: number): boolean {
  return unit === SPACE || unit === TAB;
}

/** -1 for what is none. */
function hexDigit(unit: number): number {
  if (unit >= 0x30 && unit <= 0x39) return unit - 0x30;
  const lower = unit | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
