import type { Environment } from "./words/locale.ts";
import type { ReportStream, ReportStreams } from "./words/reporter-for.ts";

/**
 * The two streams of this process. On Windows, text that goes to a pipe or a file is in the console's code page, which
 * is what its readers take it to be in; at a terminal Node hands it over as Unicode.
 */
export async function openStreams(system: NodeJS.Platform, env: Environment): Promise<ReportStreams> {
  const atTerminal = process.stdout.isTTY && process.stderr.isTTY;
  const encode = system === "win32" && !atTerminal ? await consoleEncoder() : null;
  const stream = (to: NodeJS.WriteStream) => reportStream(to, to.isTTY ? null : encode);
  return { env, out: stream(process.stdout), err: stream(process.stderr) };
}

/** The same streams for JSON: in ASCII alone where a code page could break it, the same data. */
export function asciiStreams(streams: ReportStreams): ReportStreams {
  const ascii = (to: ReportStream): ReportStream => ({
    isTTY: to.isTTY,
    columns: to.columns,
    write: (text) => to.write(text.replace(/[\u0080-\uffff]/g, jsonEscaped)),
  });
  return { ...streams, out: ascii(streams.out) };
}

/** Writes a text as UTF-8, unless nobody can read it any more. */
export function write(stream: NodeJS.WriteStream, text: string | Uint8Array): void {
  if (!stream.destroyed && !stream.writableEnded) stream.write(text);
}

type Encoder = (text: string) => string | Uint8Array;

async function consoleEncoder(): Promise<Encoder> {
  const { encodeForConsole } = await import("./world/windows/console.ts");
  return (text) => {
    // ASCII is the same in every code page: nothing of Windows is loaded for it.
    if (/^[\0-\x7f]*$/.test(text)) return text;
    try {
      return encodeForConsole(text);
    } catch {
      // Without the calls into Windows the text still goes out.
      return text;
    }
  };
}

function reportStream(stream: NodeJS.WriteStream, encode: Encoder | null): ReportStream {
  return {
    write: (text) => write(stream, encode === null ? text : encode(text)),
    isTTY: stream.isTTY,
    columns: stream.columns,
    anyEncoding: encode !== null,
  };
}

function jsonEscaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Names and codes of an error and its causes; never their messages, which may repeat what they choked on. */
export function causes(error: unknown): string {
  const lines: string[] = [];
  for (let each = error; each instanceof Error; each = each.cause) {
    const code = "code" in each && typeof each.code === "string" ? ` ${each.code}` : "";
    const frames = (each.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
    lines.push(`${each.name}${code}`, ...frames);
  }
  return `${lines.join("\n")}\n`;
}
