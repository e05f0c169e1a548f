import type { ReportStream, ReportStreams } from "./words/reporter-for.ts";

/** Writes a text, unless nobody can read it any more. */
export function write(stream: NodeJS.WriteStream, text: string): void {
  if (!stream.destroyed && !stream.writableEnded) stream.write(text);
}

/** The two streams of this process, for a reporter. */
export function reportStreams(): ReportStreams {
  return { env: process.env, out: reportStream(process.stdout), err: reportStream(process.stderr) };
}

function reportStream(stream: NodeJS.WriteStream): ReportStream {
  return { write: (text) => write(stream, text), isTTY: stream.isTTY, columns: stream.columns };
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
