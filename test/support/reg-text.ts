/**
 * Texts of the registry as `reg.exe` takes and gives them, for what a test lays down and sees: written apart from the
 * reader and the writer of the program, so that a mistake in those does not hide itself here.
 */

/** Values by name, each as it stands behind the `=`: `"text"`, `dword:0000002a`, `hex(2):…`. */
export type RegValues = ReadonlyMap<string, string>;

/** Keys with their root's whole name, and their values. */
export function writeReg(keys: ReadonlyMap<string, RegValues>): Buffer {
  const sections = [...keys].map(([key, values]) => {
    const lines = [...values].map(([name, value]) => `${name === "" ? "@" : quoted(name)}=${value}\r\n`);
    return `[${key}]\r\n${lines.join("")}\r\n`;
  });
  return Buffer.from(`\uFEFFWindows Registry Editor Version 5.00\r\n\r\n${sections.join("")}`, "utf16le");
}

/**
 * Keys and values of an export, lines joined.
 *
 * @throws Error for what is none
 */
export function readReg(bytes: Uint8Array): Map<string, RegValues> {
  const text = Buffer.from(bytes).toString("utf16le");
  const keys = new Map<string, Map<string, string>>();
  let values = new Map<string, string>();
  let at = HEADER.exec(text)?.[0].length ?? 0;
  while (at < text.length) {
    const found = [BLANK, KEY, VALUE].map((each) => sticky(each, text, at)).find((match) => match !== null);
    if (at === 0 || found === undefined || found === null)
      throw new Error(`no export: ${text.slice(at, at + 80)}`);
    const { key, name, value } = found.groups ?? {};
    if (key !== undefined) {
      values = new Map();
      keys.set(key, values);
    }
    if (value !== undefined) values.set(name === undefined ? "" : unquoted(name), joined(value));
    at += found[0].length;
  }
  return keys;
}

/** A text (REG_SZ). */
export function sz(text: string): string {
  if (!CONTROL.test(text)) return quoted(text);
  const bytes = [...Buffer.from(`${text}\0`, "utf16le")].map((byte) => byte.toString(16).padStart(2, "0"));
  return `hex(1):${bytes.join(",")}`;
}

/** A number of 32 bits (REG_DWORD). */
export function dword(number: number): string {
  return `dword:${number.toString(16).padStart(8, "0")}`;
}

/** The text of a value that is one; null for any other type. */
export function textOf(value: string | undefined): string | null {
  return value?.startsWith('"') ? unquoted(value) : null;
}

const HEADER = /^\uFEFFWindows Registry Editor Version 5\.00\r\n/;
const BLANK = /\r\n/y;
const KEY = /\[(?<key>[^\r\n]*)\]\r\n/y;
const VALUE = /(?:@|(?<name>"(?:\\.|[^"\\])*"))=(?<value>"(?:\\.|[^"\\])*"|(?:\\\r\n|[^"\r\n])*)\r\n/sy;
const CONTROL = /[\0-\x1f]/;

function sticky(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, "\\$&")}"`;
}

function unquoted(text: string): string {
  return text.slice(1, -1).replace(/\\(.)/gs, "$1");
}

function joined(value: string): string {
  return value.startsWith('"') ? value : value.replace(/\\\r\n\s*/g, "");
}
