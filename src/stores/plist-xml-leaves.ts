import { Buffer } from "node:buffer";
import { type PlistValue, realOf } from "./plist-value.ts";
import { secondsOfDate } from "./plist-xml-date.ts";

/**
 * What the text of a number, date or data element means; undefined where it is none. Grammars are those of Apple's
 * reader (CFPropertyList.c, swift-corelibs-foundation) without its leniencies:
 *
 * - integer: white space before it, a sign, decimal digits or hexadecimal ones after `0x`; within 64 bits, with or
 *   without sign. Nothing after it.
 * - real: decimal, with fraction and exponent if any, or `nan`, `inf`, `infinity`. A real that looks like an integer
 *   stays a real, and its spelling is kept.
 * - date: `YYYY-MM-DDThh:mm:ssZ`.
 * - data: base64 with white space anywhere and its padding (Apple's skips all other characters).
 */
export function leafOfText(name: LeafName, text: string): PlistValue | undefined {
  switch (name) {
    case "integer": {
      const value = integerOf(text);
      return value === undefined ? undefined : { kind: "integer", value };
    }
    case "real": {
      const value = realNumberOf(text);
      return value === undefined ? undefined : realOf(value, text);
    }
    case "date": {
      const seconds = secondsOfDate(text);
      return seconds === undefined ? undefined : { kind: "date", seconds, text };
    }
    case "data": {
      const bytes = dataOf(text);
      return bytes === undefined ? undefined : { kind: "data", bytes };
    }
  }
}

export type LeafName = "integer" | "real" | "date" | "data";

export function isLeafName(name: string): name is LeafName {
  return name === "integer" || name === "real" || name === "date" || name === "data";
}

/** Longer numbers are padded with zeros by someone who means no good: big ones take more than linear time. */
const MAX_NUMBER = 1000;

const INTEGER = /^[ \t\r\n]*([+-]?)(0[xX][0-9A-Fa-f]+|[0-9]+)$/;
const REAL = /^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/;
const NO_NUMBER = /^([+-]?)(?:nan|inf(?:inity)?)$/i;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

function integerOf(text: string): bigint | undefined {
  const match = text.length > MAX_NUMBER ? null : INTEGER.exec(text);
  if (match === null) return undefined;
  const size = BigInt(match[2] ?? "");
  const value = match[1] === "-" ? -size : size;
  return value >= -(2n ** 63n) && value < 2n ** 64n ? value : undefined;
}

function realNumberOf(text: string): number | undefined {
  if (text.length > MAX_NUMBER) return undefined;
  if (REAL.test(text)) return Number(text);
  const match = NO_NUMBER.exec(text);
  if (match === null) return undefined;
  if (/nan/i.test(text)) return match[1] === "" ? Number.NaN : undefined;
  return match[1] === "-" ? -Infinity : Infinity;
}

function dataOf(text: string): Uint8Array | undefined {
  const packed = text.replace(/[ \t\r\n]+/g, "");
  if (packed.length % 4 !== 0 || !BASE64.test(packed)) return undefined;
  return new Uint8Array(Buffer.from(packed, "base64"));
}
