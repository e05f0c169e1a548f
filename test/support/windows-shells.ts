/**
 * What Windows' shells make of a line, written down from how they are documented and from nothing of the program:
 * `cmd` at its prompt, PowerShell's texts, and how a program splits its command line. A line that would do more than
 * start one program is an error.
 */

type Variables = Readonly<Record<string, string>>;

/** What `cmd` hands to a program: the line with variables put in and carets taken away. */
export function cmdLine(line: string, variables: Variables): string {
  return withoutCarets(withVariables(line, variables));
}

/** The words that a program of Microsoft's C runtime (Node is one) finds in its command line, its own name first. */
export function argumentsIn(commandLine: string): string[] {
  const words: string[] = [];
  let at = 0;
  while (at < commandLine.length) {
    while (commandLine[at] === " " || commandLine[at] === "\t") at += 1;
    if (at >= commandLine.length) break;
    let word = "";
    let quoted = false;
    for (; at < commandLine.length; at += 1) {
      const sign = commandLine[at] ?? "";
      if (!quoted && (sign === " " || sign === "\t")) break;
      if (sign === "\\" && words.length > 0) {
        let slashes = 0;
        while (commandLine[at + slashes] === "\\") slashes += 1;
        const beforeQuote = commandLine[at + slashes] === '"';
        word += "\\".repeat(beforeQuote ? Math.floor(slashes / 2) : slashes);
        at += slashes - 1;
        if (beforeQuote && slashes % 2 === 1) {
          word += '"';
          at += 1;
        }
      } else if (sign === '"') {
        // Two in a quoted part are one mark; the first word knows no such thing.
        if (quoted && commandLine[at + 1] === '"' && words.length > 0) {
          word += '"';
          at += 1;
        } else quoted = !quoted;
      } else word += sign;
    }
    words.push(word);
  }
  return words;
}

/** The words of a command typed into PowerShell: bare ones and those in double quotation marks. */
export function powershellWords(line: string): string[] {
  const words: string[] = [];
  let rest = line.trimStart();
  if (/^["'“”„‘’‚‛]/.test(rest)) throw new Error("a text, and no command");
  while (rest !== "") {
    if (/^["“”„]/.test(rest)) {
      const [whole, inner = ""] = /^"([^"“”„]*)"(?= |$)/u.exec(rest) ?? [];
      if (whole === undefined) throw new Error(`no end of a text: ${rest}`);
      if (/[$`]/.test(inner)) throw new Error(`would be filled in: ${inner}`);
      words.push(inner);
      rest = rest.slice(whole.length).trimStart();
    } else {
      const [bare = ""] = /^[^ ]+/.exec(rest) ?? [];
      if (/[$`"'“”„‘’‚‛;|&<>(){},@#]/.test(bare)) throw new Error(`means something: ${bare}`);
      words.push(bare);
      rest = rest.slice(bare.length).trimStart();
    }
  }
  return words;
}

/** What `Start-Process -Verb RunAs PROGRAM ARGUMENTS` starts: each a text, or a pattern with characters to put in. */
export function startedAsAdministrator(script: string): { file: string; commandLine: string } {
  const prefix = "Start-Process -Verb RunAs ";
  if (!script.startsWith(prefix)) throw new Error(`no such command: ${script}`);
  const first = textAt(script.slice(prefix.length));
  const second = textAt(first.rest.trimStart());
  if (second.rest !== "") throw new Error(`something follows: ${second.rest}`);
  return { file: first.value, commandLine: second.value };
}

/** What `cmd` does with `/s /k "…"` on its own command line: its line to run, as it stands. */
export function lineOfCmd(commandLine: string): string {
  const [switches, rest = ""] = /^((?:\/d |\/v:off |\/s )+\/k )/.test(commandLine)
    ? [true, commandLine.replace(/^(?:\/d |\/v:off |\/s )+\/k /, "")]
    : [false];
  if (!switches || !rest.startsWith('"')) throw new Error(`not so: ${commandLine}`);
  const last = rest.lastIndexOf('"');
  return rest.slice(1, last) + rest.slice(last + 1);
}

function withVariables(line: string, variables: Variables): string {
  let out = "";
  for (let at = 0; at < line.length; at += 1) {
    const end = line.indexOf("%", at + 1);
    const between = line[at] === "%" && end > 0 ? line.slice(at + 1, end) : null;
    // `%name%`, `%name:from=to%`, `%name:~1,2%`: what is no variable stays as it is typed.
    const name = between === null ? "" : (/^([^:]*):./s.exec(between)?.[1] ?? between);
    const value = Object.entries(variables).find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1];
    if (between === null || name === "" || value === undefined) {
      out += line[at] ?? "";
      continue;
    }
    out += value;
    at = end;
  }
  return out;
}

function withoutCarets(line: string): string {
  let out = "";
  let quoted = false;
  for (let at = 0; at < line.length; at += 1) {
    const sign = line[at] ?? "";
    if (sign === "\n" || sign === "\r" || sign === "\0") throw new Error("the end of the line");
    if (sign === '"') quoted = !quoted;
    else if (!quoted && sign === "^") {
      at += 1;
      out += line[at] ?? "";
      continue;
    } else if (!quoted && /[&|<>()]/.test(sign)) throw new Error(`${sign} does something in: ${line}`);
    out += sign;
  }
  return out;
}

function textAt(script: string): { value: string; rest: string } {
  if (script.startsWith("'")) return singleQuoted(script);
  if (!script.startsWith("(")) throw new Error(`no text: ${script}`);
  const pattern = singleQuoted(script.slice(1));
  const [whole, list = ""] = /^ -f ((?:\[char\]\d+)(?:,\[char\]\d+)*)\)/.exec(pattern.rest) ?? [];
  if (whole === undefined) throw new Error(`no format: ${pattern.rest}`);
  const signs = list.split(",").map((item) => String.fromCharCode(Number(/\d+/.exec(item)?.[0])));
  return { value: formatted(pattern.value, signs), rest: pattern.rest.slice(whole.length) };
}

/** PowerShell takes the typographic ones for the same mark, which is doubled to stand for itself. */
function singleQuoted(script: string): { value: string; rest: string } {
  let value = "";
  for (let at = 1; at < script.length; at += 1) {
    const sign = script[at] ?? "";
    if (!/['‘’‚‛]/.test(sign)) value += sign;
    else if (/['‘’‚‛]/.test(script[at + 1] ?? "")) {
      value += sign;
      at += 1;
    } else return { value, rest: script.slice(at + 1) };
  }
  throw new Error(`no end: ${script}`);
}

/** `String.Format`. */
function formatted(pattern: string, signs: readonly string[]): string {
  return pattern.replace(/\{\{|\}\}|\{(\d+)\}|[{}]/g, (whole, index: string | undefined) => {
    if (whole === "{{" || whole === "}}") return whole.slice(1);
    const sign = signs[Number(index)];
    if (index === undefined || sign === undefined) throw new Error(`a bad pattern: ${pattern}`);
    return sign;
  });
}
