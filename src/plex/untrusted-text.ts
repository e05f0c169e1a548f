import { printable } from "../model/printable.ts";

/**
 * A log line made fit to be shown: tokens, claim codes, e-mail addresses, public addresses and every other long
 * run of letters and digits (machine identifiers, certificate ids) are cut out, then as `printable`.
 */
export function maskedLine(line: string): string {
  let masked = line.slice(0, LONGEST_MASKED);
  for (const secret of SECRETS) masked = masked.replace(secret, `$1${MASK}`);
  return printable(masked, LONGEST_SHOWN);
}

const MASK = "•••";
const LONGEST_SHOWN = 300;
const LONGEST_MASKED = 2_000;

// Each has one group: what stays in front of the mask.
const SECRETS: readonly RegExp[] = [
  /(\b[\w-]*token["']?\s*[=:]\s*["']?)[^\s"'&<>,;)]+/giu,
  /((?:Bearer|Basic)\s+)\S+/giu,
  /()\bclaim-[\w-]+/giu,
  /()[^\s"'<>=&:,;()[\]/]+(?:@|%40)[^\s"'<>=&:,;()[\]/]+/giu,
  /()\b(?:\d{1,3}\.){3}\d{1,3}\b/gu,
  /()\b(?:[\da-f]{1,4}:){4,7}[\da-f]{1,4}\b/giu,
  /()[\w-]{18,}(?:\.[\w-]{8,})*/gu,
];
