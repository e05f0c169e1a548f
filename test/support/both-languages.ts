import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { JsonLine } from "./output-schema.ts";
import { type CallOptions, demandEnd, type Ended, onStage, type Stage, type StageOptions } from "./stage.ts";

export type Language = "en" | "ru";

/** How a command must end: the exit code, and the code of its result. */
export interface Ending {
  readonly exitCode: number;
  readonly code: string;
}

/**
 * Runs a command that changes nothing as JSON, and as text in both languages, one after the other: each ends as it
 * must, and each text is in one language. Answers the JSON. `args` may be made anew for each. What was shown in words
 * before, in the same file of tests, is not shown again.
 */
export async function inBothLanguages<Options = CallOptions>(
  stage: Caller<Options>,
  args: readonly string[] | (() => Promise<readonly string[]>),
  ending: Ending,
  options?: Options,
): Promise<Ended> {
  const fresh = async () => (typeof args === "function" ? await args() : args);
  const json = await stage.json(await fresh(), options);
  demandEnd(json, ending.exitCode, ending.code);
  const words = wordsNeededFor(json);
  if (shown.has(words)) return json;
  shown.add(words);
  for (const language of ["en", "ru"] as const) {
    demandText(await stage.run([...(await fresh()), "--lang", language], options), ending, language);
  }
  return json;
}

/** Whoever can run the program. */
export interface Caller<Options> {
  run(args: readonly string[], options?: Options): Promise<Ended>;
  json(args: readonly string[], options?: Options): Promise<Ended>;
}

const shown = new Set<string>();

/** Which messages an outcome is told in. */
function wordsNeededFor({ result, lines }: Ended): string {
  const { command, code } = result;
  const { reason, option, names } = (result["problem"] ?? {}) as JsonLine;
  const servers = ((result["servers"] ?? []) as JsonLine[]).map((server) => [
    server["reason"],
    server["detail"],
  ]);
  const notes = lines.flatMap((line) =>
    line["type"] === "note" ? [(line["note"] as JsonLine)["code"]] : [],
  );
  return JSON.stringify([command, code, reason, option, names, servers, notes]);
}

/** A scenario that changes something, so that each performance of it needs a stage of its own. */
export interface Scenario {
  readonly stage: StageOptions;
  /** Prepares the stage; answers what to call. */
  call(stage: Stage): Promise<{ readonly args: readonly string[]; readonly options?: CallOptions }>;
  readonly ending: Ending;
  /** Looks at the world afterwards. */
  after(stage: Stage, ended: Ended): Promise<void>;
}

/** Plays a scenario twice at once: in words, and as JSON. */
export async function playInWords(
  scenario: Scenario,
  languages: readonly Language[] = ["ru"],
): Promise<void> {
  const { stage, ending } = scenario;
  const play = (options: readonly string[], demand: (ended: Ended) => void) =>
    onStage(stage, async (set) => {
      const { args, options: call } = await scenario.call(set);
      const ended = await set.run([...args, ...options], call);
      demand(ended);
      await scenario.after(set, ended);
    });
  await Promise.all([
    ...languages.map((language) =>
      play(["--lang", language], (ended) => demandText(ended, ending, language)),
    ),
    play(["--json"], (ended) => demandEnd(ended, ending.exitCode, ending.code)),
  ]);
}

/** Plays a scenario three times at once: in words in English and in Russian, and as JSON. */
export function playInBothLanguages(scenario: Scenario): Promise<void> {
  return playInWords(scenario, ["en", "ru"]);
}

/** The JSON lines without what differs from one stage, run and moment to the next. */
export function unnamed(stage: Stage, ended: Ended): unknown[] {
  const { folder, server, plexTv } = stage;
  const id = createHash("sha256").update(server.settingsPath).digest("hex").slice(0, 8);
  return ended.lines.map((line): unknown => {
    const text = JSON.stringify(line)
      .replaceAll(folder, "FOLDER")
      .replaceAll(server.url, "SERVER")
      .replaceAll(new URL(server.url).port, "PORT")
      .replaceAll(plexTv.url, "PLEXTV")
      .replaceAll(id, "ID")
      .replaceAll(server.deviceId, "DEVICE")
      .replaceAll(/code-[0-9a-z]{8,}/g, "CODE")
      .replaceAll(/--lang (?:en|ru)/g, "--lang")
      .replaceAll(/"pid":\d+/g, '"pid":0')
      .replaceAll(/"pids":"[\d ]+"/g, '"pids":""')
      .replaceAll(/"line":"\w{3} \d\d, \d{4} [^\]]*\]/g, '"line":"')
      .replaceAll(/"(lines|seconds|sizeBytes)":\d+/g, '"$1":0')
      .replaceAll(/\d{8}-\d{6}-[0-9a-f]{4}/g, "NAME")
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME");
    return JSON.parse(text);
  });
}

/** Throws when a text for people does not end as it must, in its language, with all that belongs to a failure. */
export function demandText(ended: Ended, ending: Ending, language: Language): void {
  demandEnd(ended, ending.exitCode);
  const { stdout, stderr } = ended;
  demandLanguage(stdout + stderr, language);
  if (ending.exitCode === 0) return;
  expect(stderr).toContain(`(${ending.code})`);
  // What happened, why, what to do now, and what state the server is in.
  for (const heading of HEADINGS[language]) expect(stderr).toContain(heading);
}

/** Throws when a text for people holds a sentence of the other language. */
export function demandLanguage(text: string, language: Language): void {
  const flat = text.replaceAll(/\s+/g, " ");
  if (language === "en") expect(flat).not.toMatch(/[\u0400-\u04FF]/u);
  const foreign = language === "en" ? ONLY_RUSSIAN : ONLY_ENGLISH;
  for (const piece of foreign) if (flat.includes(piece)) throw new Error(`“${piece}” in:\n${text}`);
  // Five plain words in a row are an English sentence, whoever wrote it.
  if (language === "ru") expect(flat).not.toMatch(/(?:(?<= )[a-z]{2,},? ){4}[a-z]{2,}/);
}

const HEADINGS = {
  en: ["Why: ", "What to do now: ", "State of the server: "],
  ru: headings(catalogue("ru")),
};

const [ENGLISH_PIECES, RUSSIAN_PIECES] = [pieces(catalogue("en")), pieces(catalogue("ru"))];
const ONLY_ENGLISH = [...ENGLISH_PIECES].filter((piece) => !RUSSIAN_PIECES.has(piece));
const ONLY_RUSSIAN = [...RUSSIAN_PIECES].filter((piece) => !ENGLISH_PIECES.has(piece));

function catalogue(language: Language): Readonly<Record<string, string>> {
  const path = new URL(`../../src/words/${language}.json`, import.meta.url);
  return JSON.parse(readFileSync(path, "utf8")) as Record<string, string>;
}

function headings(messages: Readonly<Record<string, string>>): string[] {
  return ["heading.why", "heading.do", "heading.state"].map((key) =>
    (messages[key] ?? "").replace("{text}", ""),
  );
}

/** What stands between the places of the messages, in pieces of several words. */
function pieces(messages: Readonly<Record<string, string>>): Set<string> {
  const all = Object.values(messages).flatMap((message) => message.split(/[{}\n]/));
  const worded = all.map((piece) => piece.replaceAll(/\s+/g, " ").trim());
  return new Set(worded.filter((piece) => piece.split(" ").length > 2 && /[a-zа-я]{3}/i.test(piece)));
}
