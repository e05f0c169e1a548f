/**
 * A text as one word of a line for Windows' `cmd` at its prompt, so that a program gets exactly it (by the rules of
 * Microsoft's C runtime: "Parsing C command-line arguments", learn.microsoft.com) and `cmd` puts no variable's value
 * into it. A text without `%`, `$`, back-quotes and any kind of double quotation mark is the same word for PowerShell,
 * too.
 *
 * No word can hold a NUL character or the end of a line.
 */
export function windowsWord(text: string): string {
  if (isPlain(text)) return text;
  if (text === "") return '""';
  // A percent sign stands outside of quotation marks, behind a caret that `cmd` takes away; what follows it begins with
  // a mark or a caret again, as no variable's name does.
  const parts = text.split(/(%)/).filter((part) => part !== "");
  return parts.map((part) => (part === "%" ? "^%" : quoted(part))).join("");
}

/** A line of such words. */
export function windowsLine(words: readonly string[]): string {
  return words.map(windowsWord).join(" ");
}

/** Letters and digits of any script, and what neither shell gives a meaning; options by their names alone. */
function isPlain(text: string): boolean {
  return (
    /^[\p{L}\p{N}_:\\./][\p{L}\p{N}_:\\./=+-]*$/u.test(text) ||
    /^--?[a-z]+(?:-[a-z]+)*$/.test(text) ||
    text === "-"
  );
}

/** Two marks are one within marks, for all three; backslashes mean themselves, but for those before a mark. */
function quoted(text: string): string {
  return `"${text.replace(/\\+(?="|$)/g, "$&$&").replaceAll('"', '""')}"`;
}
