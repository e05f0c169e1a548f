import { readdirSync, readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { type Node, parse } from "acorn";
import { describe, expect, test } from "vitest";

/**
 * Words live in the catalogues and nowhere else. Every text in the source is looked at, whatever it is for:
 * three words in a row, or one Cyrillic letter, is a sentence.
 */

/** Names, not sentences: they are the same in every language. */
const NAMES = /Plex Media (?:Server|Serv|Scanner)|Plex DLNA Server|Plex Tuner Service|Plex Script Host/g;

/**
 * Texts that no person reads as prose, each with its reason. A new one needs as good a one.
 * The stand-ins are left out altogether: they repeat what Plex says.
 */
const ALLOWED: readonly { readonly file: RegExp; readonly text: RegExp; readonly reason: string }[] = [
  { file: /^commands\/completion-/, text: /./, reason: "code of four shells" },
  {
    file: /^demo\//,
    text: /^[^\p{Script=Cyrillic}]*\b(?:then|fetch|exit|kill|rm|export)\b/u,
    reason: "small shell scripts",
  },
  { file: /^commands\/options\.ts$/, text: /^backup [a-z]+ ID/, reason: "what is typed, in an example" },
  { file: /^services\/mac-scripts\.ts$/, text: /^[^А-я]*$/, reason: "AppleScript" },
  { file: /^services\/command\.ts$/, text: /^\n\/bin\/sh -c/, reason: "a shell script" },
  {
    file: /^stores\/plist-xml-writer\.ts$/,
    text: /^<\?xml version="1\.0" encoding="UTF-8"\?>\n<!DOCTYPE plist /,
    reason: "how a property list begins",
  },
  {
    file: /^stores\/registry-file-text\.ts$/,
    text: /^Windows Registry Editor Version 5\.00$/,
    reason: "the first line of a registry file",
  },
  { file: /^stores\/carry-metadata\.ts$/, text: /^cp \(GNU coreutils\)$/, reason: "what a program answers" },
  {
    file: /^plex\/log-line\.ts$/,
    text: /^[^А-я]*$/,
    reason: "where a fact comes from, kept beside it; never shown",
  },
  {
    file: /^terminal\/plain-questions\.ts$/,
    text: /^(?:д|да|н|нет)$/,
    reason: "answers understood in Russian",
  },
];

const SENTENCE = /\p{L}{2,}(?:[,;:]?\s+[("“]?\p{L}{2,}){2,}/u;
const CYRILLIC = /\p{Script=Cyrillic}/u;

interface Found {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.startsWith("standins"))
    .sort();
}

function textsIn(code: string): { text: string; line: number }[] {
  const script = stripTypeScriptTypes(code);
  const texts: { text: string; line: number }[] = [];
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) node.forEach(visit);
    if (typeof node !== "object" || node === null || !("type" in node)) return;
    const { type, value, start } = node as Node & { value?: unknown };
    const text = type === "TemplateElement" ? (value as { raw: string }).raw : value;
    if ((type === "Literal" || type === "TemplateElement") && typeof text === "string") {
      texts.push({ text, line: script.slice(0, start).split("\n").length });
    }
    for (const [key, child] of Object.entries(node)) if (key !== "value" || type !== "Literal") visit(child);
  };
  visit(parse(script, { ecmaVersion: "latest", sourceType: "module" }));
  return texts;
}

function isSentence(text: string): boolean {
  return CYRILLIC.test(text) || SENTENCE.test(text.replace(NAMES, "#"));
}

describe("the source outside the catalogues", () => {
  test("holds no sentence and no Russian word", () => {
    const found: Found[] = [];
    for (const file of sources("src")) {
      const allowed = ALLOWED.filter((each) => each.file.test(file));
      for (const { text, line } of textsIn(readFileSync(join("src", file), "utf8"))) {
        if (isSentence(text) && !allowed.some((each) => each.text.test(text)))
          found.push({ file, line, text });
      }
    }
    expect(found).toEqual([]);
  });

  test("would be caught: a sentence in a text, a template or an error, in either language", () => {
    const caught = (code: string) => textsIn(code).some(({ text }) => isSentence(text));
    expect(caught('throw new Error("the file is gone");')).toBe(true);
    expect(caught("const a: string = `Stopping $" + "{name} of the server`;")).toBe(true);
    expect(caught('say("Готово");')).toBe(true);
    expect(caught('run("systemctl", ["show", "--property=Result"]); path("Plex Media Server");')).toBe(false);
    expect(caught("// a comment may say what it likes")).toBe(false);
  });
});
