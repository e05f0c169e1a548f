/** Lines that begin with this are for copying: never broken, never joined. */
const VERBATIM = "    ";

/**
 * Breaks text at spaces so that no line is wider than `columns`, where words allow it; `indent` goes before
 * every line but the first. Lines for copying (indented by four) stay whole: a terminal may break them, but a
 * copy of them is right.
 */
export function wrap(text: string, columns: number, indent = ""): string {
  return text
    .split("\n")
    .map((line, index) => {
      const prefix = index === 0 ? "" : indent;
      if (line.startsWith(VERBATIM)) return `${indent}${line}`;
      const lead = /^ */.exec(line)?.[0] ?? "";
      const words = line.trimStart();
      const hanging = /^\d+\. /.test(words) ? "   " : "";
      const next = index === 0 && indent !== "" ? indent : indent + lead + hanging;
      return wrapLine(words, columns, prefix + lead, next);
    })
    .join("\n");
}

function wrapLine(line: string, columns: number, first: string, next: string): string {
  const lines: string[] = [];
  let current = first;
  let empty = true;
  for (const word of line.split(" ")) {
    if (!empty && current.length + 1 + word.length > columns) {
      lines.push(current);
      current = next + word;
    } else {
      current += empty ? word : ` ${word}`;
    }
    empty = false;
  }
  return [...lines, current].join("\n");
}
