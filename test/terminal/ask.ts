// Asks one question at the terminal it was started at and prints the answer: node ask.ts confirm|hidden [option…]
import { realTerminal } from "../../src/terminal/real-terminal.ts";
import { loadWords } from "../../src/words/words.ts";

const [kind, ...options] = process.argv.slice(2);
const words = await loadWords(options.includes("ru") ? "ru" : "en");
const controller = new AbortController();
const terminal = realTerminal({
  words,
  json: options.includes("json"),
  accessible: options.includes("accessible"),
  noColor: options.includes("no-color"),
  inputTaken: options.includes("input-taken"),
  interrupt: controller.signal,
});
if (options.includes("abort")) setTimeout(() => controller.abort("SIGTERM"), 300);
const question = words.say(kind === "hidden" ? "prompt.claim-code" : "prompt.plan");
const answer = kind === "hidden" ? await terminal.hidden(question) : await terminal.confirm(question);
const shown =
  typeof answer === "object" && answer !== null ? `secret of ${answer.reveal().length}` : String(answer);
process.stdout.write(`\n<${terminal.interactive} ${shown}>\n`);
// As the program does: a terminal that was opened for the answer would keep it alive.
process.exit();
