import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { COMMANDS, OPTIONS, twinOf } from "../../src/commands/options.ts";
import { parse } from "../../src/commands/parse.ts";
import { codesOf, codeTable, exitCodes, valuesOf } from "./code-tables.ts";
import { allPages, anchorOf, commandLines, firstCells, type Page, PROJECT, page } from "./markdown.ts";

const pages = allPages();
const readme = page("README.md");
const readmeInRussian = page("README.ru.md");
const manifest = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
};

describe("the README", () => {
  test("is the same in both languages: headings, commands, code, tables, links", () => {
    const levels = ({ headings }: Page) => headings.map(({ level }) => level);
    expect(levels(readmeInRussian)).toEqual(levels(readme));
    const languages = ({ fences }: Page) => fences.map(({ language }) => language);
    expect(languages(readmeInRussian)).toEqual(languages(readme));
    expect(commandLines(readmeInRussian)).toEqual(commandLines(readme));
    expect([...readmeInRussian.spans].sort()).toEqual([...readme.spans].sort());
    expect(firstCells(readmeInRussian.text)).toEqual(firstCells(readme.text));
    expect(readmeInRussian.links.slice(1)).toEqual(readme.links.slice(1));
  });

  test("fits on a few screens", () => {
    for (const { text } of [readme, readmeInRussian]) expect(text.split("\n").length).toBeLessThan(230);
  });

  test("has exactly two commands to set up, and they run scripts that exist", () => {
    expect(readme.fences[0]?.lines).toEqual(["npm ci && npm run demo", "npm ci && npm test"]);
  });

  test("names every command and every option", () => {
    const spans = new Set(readme.spans.flatMap((span) => [span, span.replace(/ (?:en|ru)$/, "")]));
    expect(COMMANDS.map(({ name }) => name).filter((name) => !spans.has(name))).toEqual([]);
    expect(OPTIONS.map(({ name }) => `--${name}`).filter((name) => !spans.has(name))).toEqual([]);
  });

  test.each([
    ["en", readme],
    ["ru", readmeInRussian],
  ] as const)("shows output in the words that the program has (%s)", (language, { fences }) => {
    const path = join(PROJECT, `src/words/${language}.json`);
    const words = JSON.parse(readFileSync(path, "utf8")) as Readonly<Record<string, string>>;
    const shown = fences.flatMap(({ language: kind, lines }) => (kind === "text" ? lines : [])).join("\n");
    for (const key of SHOWN) {
      const [said = ""] = (words[key] ?? key).split("{");
      expect(shown, key).toContain(said);
    }
  });

  test("has every exit code in its table, and no other", () => {
    const numbers = firstCells(readme.text).filter((cell) => /^\d+$/.test(cell));
    expect(numbers.map(Number)).toEqual(exitCodes());
  });
});

describe("every page", () => {
  test.each(pages)("$path prints commands that the program understands", (one) => {
    for (const line of commandLines(one)) demandUnderstood(line);
  });

  test("would be caught with a command that does not exist", () => {
    for (const line of [
      "sudo plex-reclaim heal",
      "plex-reclaim status --everything",
      "npm run heal",
      "rm -r x",
    ]) {
      expect(() => demandUnderstood(line), line).toThrow();
    }
  });

  test.each(pages)("$path names options and codes that exist", ({ spans }) => {
    const options = new Set<string>(OPTIONS.map(({ name }) => `--${name}`));
    expect(spans.filter((span) => /^--[a-z-]+$/.test(span) && !options.has(span))).toEqual([]);
    const codes = knownCodes();
    expect(spans.filter((span) => /^[A-Z]+(?:_[A-Z]+)+$/.test(span) && !codes.has(span))).toEqual([]);
  });

  test.each(pages)("$path names files that exist", ({ spans }) => {
    const paths = spans.filter((span) => /^(?:src|test|docs|bin|scripts|schema|\.ci)\/[\w./-]*$/.test(span));
    expect(paths.filter((path) => !existsSync(join(PROJECT, path)))).toEqual([]);
  });

  test.each(pages)("$path has links that lead somewhere", ({ path, links }) => {
    for (const link of links) {
      const [target = "", anchor] = link.split("#");
      if (/^https?:/.test(target)) continue;
      const file = target === "" ? path : join(dirname(path), target);
      expect(existsSync(join(PROJECT, file)), link).toBe(true);
      if (anchor === undefined) continue;
      const anchors = page(file).headings.map(({ text }) => anchorOf(text));
      expect(anchors, link).toContain(anchor);
    }
  });

  test.each([...pages.map(({ path }) => path), ".ci/run"])("%s has nothing of one machine in it", (path) => {
    const text = readFileSync(join(PROJECT, path), "utf8");
    expect(text).not.toMatch(/(?<![\w.~])\/(?:work|tmp|root|home)\//);
    expect(text).not.toMatch(/https?:\/\/(?:registry|deb|security)\.|npmjs|claim-[\w-]{20}/);
  });
});

describe("the architecture", () => {
  const [, before = ""] = page("ARCHITECTURE.md").text.split(/^## /m);
  const invariants = before.split(/^(?=\d+\. )/m).slice(1);

  test("opens with the twelve invariants", () => {
    expect(invariants.map((text) => Number.parseInt(text, 10))).toEqual(
      Array.from({ length: 12 }, (_, at) => at + 1),
    );
  });

  test.each(invariants.map((text) => [text.slice(0, 60), text]))("%s… names tests that exist", (_, text) => {
    const [, held = ""] = text.split(/Held by/);
    const paths = [...held.matchAll(/`(test\/[^`]+)`/g)].map(([, path = ""]) => path);
    expect(paths.filter((path) => path.endsWith(".test.ts"))).not.toEqual([]);
    expect(paths.filter((path) => !existsSync(join(PROJECT, path)))).toEqual([]);
  });

  test("has a line for every folder of the source", () => {
    const { spans } = page("ARCHITECTURE.md");
    const folders = [
      "model",
      "world",
      "stores",
      "services",
      "installs",
      "plex",
      "state",
      "stages",
      "commands",
    ];
    const more = ["words", "terminal", "standins", "demo"];
    expect([...folders, ...more].filter((name) => !spans.includes(`src/${name}`))).toEqual([]);
  });
});

describe("the decisions", () => {
  test("have a line for every dependency, and none for what is none", () => {
    const { text } = page("docs/decisions/0002-dependencies.md");
    const names = firstCells(text).filter((cell) => cell !== "package");
    const wanted = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies });
    expect([...names].sort()).toEqual([...wanted].sort());
  });

  test("are all in their list", () => {
    const listed = page("docs/decisions/README.md").links;
    const all = pages
      .map(({ path }) => path.replace("docs/decisions/", ""))
      .filter((name) => /^\d{4}-/.test(name));
    expect([...listed].sort()).toEqual([...all].sort());
  });
});

describe("the page about JSON", () => {
  const { text, spans } = page("docs/json.md");

  test.each(["Problem", "Note", "Evidence"] as const)("has the table of every %s with its data", (name) => {
    expect(text).toContain(codeTable(name));
  });

  test.each(["ServerState", "StateReason", "SuccessCode", "Step", "CriterionName"])(
    "names every %s",
    (name) => {
      const values = valuesOf(name);
      expect(values).not.toEqual([]);
      expect(values.filter((value) => !spans.includes(value))).toEqual([]);
    },
  );

  test("has every exit code", () => {
    const numbers = firstCells(text).filter((cell) => /^\d+$/.test(cell));
    expect(numbers.map(Number)).toEqual(exitCodes());
  });
});

/** What the examples of output in the README consist of. */
const SHOWN = [
  ...["status.state", "status.reason", "status.settings", "status.running.true", "reason.TOKEN_REVOKED"],
  ...["step.obtain.begin", "step.obtain.end", "step.stop.begin", "step.back-up.begin", "step.edit.begin"],
  ...["step.start.begin", "step.verify.begin", "success.OK.reset", "heading.criteria"],
  ...["name.criterion.reachable", "name.criterion.account", "name.criterion.logs", "name.result.met"],
];

/** Throws for a line with a command, an option or a script that does not exist. */
function demandUnderstood(line: string): void {
  for (const call of line.split(/&&|\|/).map((part) => part.trim())) {
    const words = call
      .replace(/^sudo /, "")
      .replace(/ <.*$/, "")
      .split(" ");
    const [program, ...args] = words;
    if (program === "plex-reclaim") parse(args, {});
    else if (program === "npm") demandScript(args);
    else if (program !== "printf") throw new Error(`what is ${call}?`);
  }
}

function demandScript([first = "", second = ""]: readonly string[]): void {
  if (first === "ci") return;
  const script = first === "run" ? second : first;
  if (!(script in manifest.scripts)) throw new Error(`no script ${script}`);
}

function knownCodes(): Set<string> {
  const codes = (["Problem", "Note", "Evidence"] as const).flatMap((name) =>
    codesOf(name).map(({ code }) => code),
  );
  const values = ["StateReason", "SuccessCode"].flatMap(valuesOf);
  const variables = [
    "PLEX_CLAIM",
    "NO_COLOR",
    "FORCE_COLOR",
    "NODE_DEBUG",
    "NODE_EXTRA_CA_CERTS",
    "DOCKER_HOST",
    "O_EXLOCK",
  ];
  return new Set([
    ...codes,
    ...values,
    ...variables,
    ...OPTIONS.map(({ name }) => twinOf(name)),
    "PLEX_RECLAIM_PLEXTV_URL",
  ]);
}
