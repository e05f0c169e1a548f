import { setTimeout as sleep } from "node:timers/promises";

/** A terminal of 100 by 30 in a machine, with one program at it. Wine's own console sits between the two. */
export interface WineTerminal {
  /** What it shows now, and what was scrolled away above it; without colours, and blanks at the ends of lines. */
  screen(): Promise<string>;
  /** Waits until the screen matches, and answers it. @throws Error with the screen when it never does */
  shows(what: RegExp | string, timeoutMs?: number): Promise<string>;
  /** Types the text as it is, with no Enter after it. */
  type(text: string): Promise<void>;
  /** Presses keys by their names: `Enter`, `Escape`, `Up`, `Space`, `BSpace`; but not `C-c`. */
  press(...keys: string[]): Promise<void>;
  /** Presses Ctrl-C as Windows has it: a key for who reads single keys, else an event for every program there. */
  interrupt(): Promise<void>;
  /** Waits for the program's end; the status as in `WineMachine.run`. */
  ended(timeoutMs?: number): Promise<{ readonly status: number | null; readonly screen: string }>;
  /**
   * Closes the window, which ends the program without a word to it: Wine has no `CTRL_CLOSE_EVENT` for that. The program
   * is gone when it answers.
   */
  close(): Promise<void>;
}

/** What a terminal is made of. */
export interface TerminalParts {
  /** Runs a Linux program in the machine, to its end. */
  inside(
    command: readonly string[],
  ): Promise<{ readonly status: number | null; readonly stdout: string; readonly stderr: string }>;
  /** That the machine has not used yet. */
  readonly name: string;
  /** The program, as a Linux command. */
  readonly command: readonly string[];
  interrupt(): Promise<void>;
}

export async function openTerminal(parts: TerminalParts): Promise<WineTerminal> {
  const { inside, name, command, interrupt } = parts;
  const tmux = async (...args: string[]): Promise<string> => {
    const plain = ["env", "-i", "PATH=/usr/bin:/bin", "LC_CTYPE=C.UTF-8", "tmux", "-u", "-f", "/dev/null"];
    const { status, stdout, stderr } = await inside([...plain, "-L", name, ...args]);
    if (status !== 0) throw new Error(`tmux ${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  const keep = ["start-server", ";", "set-option", "-g", "remain-on-exit", "on", ";"];
  const silent = ["set-option", "-g", "remain-on-exit-format", "", ";"];
  // Whatever was printed shall be found, however much it is.
  const long = ["set-option", "-g", "history-limit", "20000", ";"];
  await tmux(...keep, ...silent, ...long, "new-session", "-d", "-x", "100", "-y", "30", "--", ...command);
  const screen = async () => (await tmux("capture-pane", "-p", "-S", "-")).replaceAll(/[ \n]+$/gmu, "");
  const end = async () => {
    const [dead, status = "", signal = ""] = (await tmux("display-message", "-p", END)).trim().split(",");
    // The end of what it prints and the end of the program come one by one.
    if (dead !== "1" || status + signal === "") return null;
    return { status: status === "" ? null : Number(status) };
  };
  return {
    screen,
    shows: (what, timeoutMs = DEADLINE_MS) =>
      until(timeoutMs, `${what} on the screen`, screen, async () => {
        const now = await screen();
        return (typeof what === "string" ? now.includes(what) : what.test(now)) ? now : null;
      }),
    type: async (text) => void (await tmux("send-keys", "-l", "--", text)),
    press: async (...keys) => {
      // Wine's console would hear no key after it.
      if (keys.includes("C-c")) throw new Error("C-c is pressed by interrupt()");
      await tmux("send-keys", "--", ...keys);
    },
    interrupt,
    ended: (timeoutMs = DEADLINE_MS) =>
      until(timeoutMs, "the end of the program", screen, async () => {
        const ended = await end();
        return ended === null ? null : { ...ended, screen: await screen() };
      }),
    close: async () => {
      const pid = (await tmux("display-message", "-p", "#{pane_pid}")).trim();
      await tmux("kill-server");
      const { status } = await inside(["sh", "-c", GONE, "sh", pid]);
      if (status !== 0) throw new Error(`it goes on: ${name}`);
    },
  };
}

const DEADLINE_MS = 30_000;
const GONE = 'while kill -0 "$1" 2>/dev/null; do sleep 0.02; done';
const END = "#{pane_dead},#{pane_dead_status},#{pane_dead_signal}";

async function until<T>(
  timeoutMs: number,
  what: string,
  screen: () => Promise<string>,
  look: () => Promise<T | null>,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    if (performance.now() > deadline) throw new Error(`never came: ${what}. The screen:\n${await screen()}`);
    await sleep(30);
  }
}
