import type { Secret } from "../model/secret.ts";

/** The person at the terminal. Questions are asked on standard error; the answer comes from standard input. */
export interface Terminal {
  /** Whether both ends are a terminal; without one every question is answered with no. */
  readonly interactive: boolean;
  /**
   * A question with yes or no. Enter alone is no, or yes with `defaultNo: false`. Ctrl-C and the end of the input
   * are `"interrupted"`: the caller treats them as no and ends.
   */
  confirm(question: string, options?: { readonly defaultNo: boolean }): Promise<boolean | "interrupted">;
  /**
   * Asks for something that is not shown while it is typed or pasted; white space around it is dropped. The last
   * line of `question` is the prompt itself, the lines before it explain. Enter alone is null.
   */
  hidden(question: string): Promise<Secret | null | "interrupted">;
}
