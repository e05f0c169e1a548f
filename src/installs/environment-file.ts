/**
 * Reads an environment file as systemd does (systemd.exec(5), `EnvironmentFile=`); later lines win.
 *
 * Unlike a shell: a value in quotes may go over several lines, only `\`, `"`, `` ` `` and `$` can be escaped
 * inside double quotes, quotes in the middle of a bare value are kept, nothing is expanded, and a line that is
 * no assignment (`export A=b` is none) is passed over.
 */
export function parseEnvironmentFile(text: string): Map<string, string> {
  const found = new Map<string, string>();
  const reader = new Reader(text);
  while (!reader.atEnd()) {
    const name = reader.name();
    if (name === null) continue;
    const value = reader.value();
    if (/^[A-Za-z_][A-Za-z0-9_]*$/u.test(name)) found.set(name, value);
  }
  return found;
}

const LINE_END = "\n\r";
const BLANK = " \t";

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  /** The name before the next `=`, standing after it then; null for a comment, an empty or a useless line. */
  name(): string | null {
    this.#skip(BLANK + LINE_END);
    if (this.atEnd()) return null;
    if ("#;".includes(this.#peek())) {
      this.#comment();
      return null;
    }
    // Whatever comes first belongs to the name, even a `=`: such a line is no assignment (seen).
    let name = this.#take();
    while (!this.atEnd()) {
      const char = this.#take();
      if (char === "=") return name.trim();
      if (LINE_END.includes(char)) return null;
      name += char;
    }
    return null;
  }

  /** The value, up to the end of its line. Quoted parts are joined; what follows them unquoted is kept, too. */
  value(): string {
    let value = "";
    for (;;) {
      this.#skip(BLANK);
      if (this.atEnd()) return value;
      const char = this.#peek();
      if (LINE_END.includes(char)) {
        this.#take();
        return value;
      }
      if (char === "'") value += this.#single();
      else if (char === '"') value += this.#double();
      else return value + this.#bare();
    }
  }

  #bare(): string {
    let value = "";
    // White space at the end of a line is dropped, but not when it was escaped.
    let keep = 0;
    while (!this.atEnd()) {
      const char = this.#take();
      if (LINE_END.includes(char)) break;
      if (char === "\\") {
        const escaped = this.#take();
        if (!LINE_END.includes(escaped)) value += escaped;
        keep = value.length;
      } else {
        value += char;
        if (!BLANK.includes(char)) keep = value.length;
      }
    }
    return value.slice(0, keep);
  }

  #single(): string {
    this.#take();
    let value = "";
    while (!this.atEnd()) {
      const char = this.#take();
      if (char === "'") break;
      value += char;
    }
    return value;
  }

  #double(): string {
    this.#take();
    let value = "";
    while (!this.atEnd()) {
      const char = this.#take();
      if (char === '"') break;
      if (char !== "\\") value += char;
      else value += escapedInQuotes(this.#take());
    }
    return value;
  }

  /** Until 254, systemd took a line after a comment that ends in a backslash as more of the comment. */
  #comment(): void {
    while (!this.atEnd()) {
      const char = this.#take();
      if (LINE_END.includes(char)) return;
      if (char === "\\") this.#take();
    }
  }

  #skip(chars: string): void {
    while (!this.atEnd() && chars.includes(this.#peek())) this.#at += 1;
  }

  #peek(): string {
    return this.#text.charAt(this.#at);
  }

  #take(): string {
    const char = this.#peek();
    this.#at += 1;
    return char;
  }
}

function escapedInQuotes(char: string): string {
  if (char === "\n") return "";
  return '"\\`$'.includes(char) ? char : `\\${char}`;
}
