import { systemLibrary } from "./native.ts";

/**
 * A text for a pipe or a file on Windows, in the code page of our console: that is what who reads it (PowerShell,
 * `cmd`, `more`) takes it to be in. UTF-8 where there is no console. What the code page lacks becomes the next best
 * character or a question mark.
 */
export function encodeForConsole(text: string): Uint8Array {
  const page = codePage();
  if (page === UTF_8 || text === "") return Buffer.from(text, "utf8");
  const units = Buffer.from(text, "utf16le");
  const length = wideCharToMultiByte(page, 0, units, text.length, null, 0, null, null);
  const bytes = Buffer.alloc(Math.max(length, 0));
  const written = wideCharToMultiByte(page, 0, units, text.length, bytes, bytes.length, null, null);
  return written > 0 ? bytes.subarray(0, written) : Buffer.from(text, "utf8");
}

const UTF_8 = 65_001;

const kernel32 = systemLibrary("kernel32.dll");
const getConsoleOutputCP = kernel32("GetConsoleOutputCP", "uint32");
const wideCharToMultiByte = kernel32(
  "WideCharToMultiByte",
  "int32",
  "uint32",
  "uint32",
  "memory",
  "int32",
  "memory",
  "int32",
  "memory",
  "memory",
);

function codePage(): number {
  const page = getConsoleOutputCP();
  return page === 0 ? UTF_8 : page;
}
