import { chooseAppearance } from "./appearance.ts";
import { jsonReporter } from "./report-json.ts";
import { textReporter } from "./report-text.ts";
import type { Reporter } from "./reporter.ts";
import type { Words } from "./words.ts";

/** One of the two streams, and what is known about it. */
export interface ReportStream {
  write(text: string): void;
  readonly isTTY: boolean;
  readonly columns?: number | undefined;
  readonly anyEncoding?: boolean;
}

export interface ReportStreams {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly out: ReportStream;
  readonly err: ReportStream;
}

/** The reporter that was asked for: JSON Lines, or text as each stream allows it. */
export function reporterFor(
  words: Words,
  options: { readonly json: boolean; readonly noColor: boolean; readonly verbose: boolean },
  { env, out, err }: ReportStreams,
): Reporter {
  const output = { out: (text: string) => out.write(text), err: (text: string) => err.write(text) };
  if (options.json) return jsonReporter(output);
  return textReporter({
    words,
    output,
    out: chooseAppearance(out, env, options.noColor),
    err: chooseAppearance(err, env, options.noColor),
    verbose: options.verbose,
  });
}
