import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { IntlMessageFormat } from "intl-messageformat";
import { describe, expect, test } from "vitest";
import { COMMANDS, FIRST_WORDS, MAIN_EXAMPLES, OPTION_GROUPS, OPTIONS } from "../../src/commands/options.ts";
import { STEPS } from "../../src/model/event.ts";
import en from "../../src/words/en.json" with { type: "json" };
import ru from "../../src/words/ru.json" with { type: "json" };
import { loadWords, type WordKey } from "../../src/words/words.ts";
import { alternativesOf, definition, literalsOf } from "./model-samples.ts";

const keys = Object.keys(en) as WordKey[];
const catalogues = { en, ru } as const;

interface Place {
  readonly name: string;
  readonly kind: number;
  readonly choices: readonly string[];
}

/** The places of a message, by the formatter's own reading of it. */
function placesOf(message: string, language: string): Place[] {
  const places: Place[] = [];
  const visit = (elements: readonly unknown[]) => {
    for (const element of elements as readonly {
      type: number;
      value: string;
      options?: Record<string, { value: unknown[] }>;
    }[]) {
      if (element.type === LITERAL || element.type === POUND) continue;
      const choices = Object.keys(element.options ?? {});
      places.push({ name: element.value, kind: element.type, choices });
      for (const option of Object.values(element.options ?? {})) visit(option.value);
    }
  };
  visit(new IntlMessageFormat(message, language, {}, { ignoreTag: true }).getAst());
  return places;
}

const LITERAL = 0;
const SELECT = 5;
const PLURAL = 6;
const POUND = 7;

function namesOf(message: string, language: string): string[] {
  return [...new Set(placesOf(message, language).map(({ name, kind }) => `${name}:${kind}`))].sort();
}

describe("the two catalogues", () => {
  test("have the same keys in the same order", () => {
    expect(Object.keys(ru)).toEqual(keys);
  });

  test.each(keys)("agree on the places of %s", (key) => {
    expect(namesOf(ru[key], "ru")).toEqual(namesOf(en[key], "en"));
  });

  test("choose by the same words", () => {
    for (const key of keys) {
      const selects = (language: "en" | "ru") =>
        placesOf(catalogues[language][key], language)
          .filter(({ kind }) => kind === SELECT)
          .map(({ name, choices }) => `${name} ${choices.toSorted().join(" ")}`)
          .sort();
      expect(selects("ru"), key).toEqual(selects("en"));
    }
  });

  test("decline every number as the language does", () => {
    for (const [language, forms] of [
      ["en", ["one", "other"]],
      ["ru", ["one", "few", "many", "other"]],
    ] as const) {
      for (const key of keys) {
        for (const { kind, choices } of placesOf(catalogues[language][key], language)) {
          if (kind !== PLURAL) continue;
          expect(choices.filter((choice) => !choice.startsWith("=")).sort(), key).toEqual([...forms].sort());
        }
      }
    }
  });

  test("have no apostrophe that the formatter would take for a quotation mark", () => {
    for (const language of ["en", "ru"] as const) {
      for (const key of keys) expect(catalogues[language][key], key).not.toContain("'");
    }
  });

  test("have no empty message and no white space at an end", () => {
    for (const language of ["en", "ru"] as const) {
      for (const key of keys) expect(catalogues[language][key], key).toMatch(/^\S(?:[\s\S]*\S)?$/);
    }
  });
});

describe("the English catalogue", () => {
  test("has no Cyrillic letter", () => {
    for (const key of keys) expect(en[key], key).not.toMatch(/\p{Script=Cyrillic}/u);
  });
});

describe("the Russian catalogue", () => {
  test("has no English sentence left", () => {
    for (const key of keys) {
      const prose = ru[key]
        .split("\n")
        .filter((line) => !line.startsWith("    "))
        .join(" ")
        .replace(
          /«[^»]*»|\bPlex Media Server\b|\b(?:bash|zsh|fish|powershell)\b|https?:\S+|PLEX_\w+|--[a-z-]+|\bHTTP\b/g,
          " ",
        )
        .replace(/\{(\w+), (?:select|plural),|\{\w+\}/g, " ");
      expect(prose, key).not.toMatch(/[A-Za-z]{2,}(?:[ ,]+[A-Za-z]{2,}){2,}/);
    }
  });

  test("is translated: only what is a name or a sign is the same in both", () => {
    const same = keys.filter((key) => ru[key] === en[key]);
    expect(same).toEqual([
      "problem.CLAIM_CODE_UNREADABLE.why",
      "problem.SYSTEM_CALL_FAILED.why",
      "name.signal.SIGINT",
      "name.platform.win32",
      "name.platform.darwin",
      "name.platform.freebsd",
    ]);
  });
});

const problems = alternativesOf("Problem");
const notes = alternativesOf("Note");
const evidence = alternativesOf("Evidence");

describe("every coded thing has its words", () => {
  const wanted: string[] = [
    ...[...problems.keys()].flatMap((code) => [
      `problem.${code}.what`,
      `problem.${code}.why`,
      `problem.${code}.do`,
    ]),
    ...[...notes.keys()].map((code) => `note.${code}`),
    ...[...evidence.keys()].map((code) => `evidence.${code}`),
    ...literalsOf(definition("StateReason")).map((code) => `reason.${code}`),
    ...literalsOf(definition("ServerState")).map((code) => `name.state.${code}`),
    ...literalsOf(definition("CriterionName")).map((code) => `name.criterion.${code}`),
    ...["met", "not-met", "cannot-tell"].map((code) => `name.result.${code}`),
    ...STEPS.flatMap((step) => [`step.${step}.begin`, `step.${step}.end`]),
    ...literalsOf(definition("SuccessCode")).map((code) => `success.${code}`),
    ...[...alternativesOf("SignInWay", "way").keys()].map((way) => `way.${way}`),
    ...[...alternativesOf("ByHand", "do").keys()].map((each) => `by-hand.${each}`),
    ...[...alternativesOf("event-demo", "part").keys()].map((part) => `demo.${part}`),
    ...literalsOf(definition("PlanView").properties?.["command"] ?? {}).map((each) => `plan.command.${each}`),
    ...literalsOf(definition("PlanView").properties?.["change"] ?? {}).map((each) => `plan.change.${each}`),
    ...["true", "false", "unknown"].map((each) => `status.running.${each}`),
    ...["state.nothing-changed", "state.put-back", "state.put-back.written", "state.put-back.parked"],
    ...["state.not-put-back", "state.changed"],
    ...["linux-package", "arch-package", "systemd-unit", "running-process", "settings-file"].map(
      (kind) => `name.install.${kind}`,
    ),
    ...OPTIONS.map(({ name }) => `option.${name}`),
    ...OPTION_GROUPS.map((group) => `help.group.${group}`),
    ...FIRST_WORDS.map((word) => `command.${word}.summary`),
    ...COMMANDS.flatMap(({ name, examples }) => {
      const family = `command.${name.replaceAll(" ", "-")}`;
      const explained = examples.map((_, index) => `${family}.example.${index + 1}`);
      return [`${family}.summary`, `${family}.about`, ...explained];
    }),
    ...MAIN_EXAMPLES.map((_, index) => `help.example.${index + 1}`),
    ...["0", "1", "2", "3", "4", "5", "6", "130", "other"].map((code) => `help.exit.${code}`),
  ];

  test("none is missing", () => {
    expect(wanted.filter((key) => !(key in en))).toEqual([]);
  });

  test("every value of an enumeration in a problem or note has its words, or the message chooses by it", () => {
    const missing: string[] = [];
    for (const [family, all] of [
      ["problem", problems],
      ["note", notes],
    ] as const) {
      for (const [code, fields] of all) {
        for (const [field, node] of Object.entries(fields)) {
          for (const value of literalsOf(node)) {
            const chosen = keys.some(
              (key) => key.startsWith(`${family}.${code}.`) && en[key].includes(`{${field}, select,`),
            );
            if (!chosen && !(`${family}.${code}.${field}.${value}` in en))
              missing.push(`${code}.${field}.${value}`);
          }
        }
      }
    }
    expect(missing).toEqual([]);
  });

  test("a message uses only what its code carries", () => {
    for (const [family, all] of [
      ["problem", problems],
      ["note", notes],
      ["evidence", evidence],
      ["demo", alternativesOf("event-demo", "part")],
    ] as const) {
      for (const [code, fields] of all) {
        const known = new Set(Object.keys(fields).flatMap((name) => [name, `${name}Given`, `${name}Quoted`]));
        const own = keys.filter((key) => key === `${family}.${code}` || key.startsWith(`${family}.${code}.`));
        for (const key of own) {
          for (const { name } of placesOf(en[key], "en"))
            expect(known.has(name), `${key}: {${name}}`).toBe(true);
        }
      }
    }
  });

  test("no message is left that nothing says", () => {
    const source = readdirSync("src", { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => readFileSync(join("src", file), "utf8"))
      .join("\n");
    const dynamic =
      /^(?:system|name|problem\.[A-Z_]+\.(?:reason|source|detail|what|allowed)|note\.[A-Z_]+\.[a-z]+)\./;
    const known = new Set(wanted);
    const idle = keys.filter(
      (key) =>
        !known.has(key) &&
        !dynamic.test(key) &&
        !/^success\.OK\.|^status\.next\.|^backup\.sign-in\.|^command\.backup\.about$|^by-hand|^name\./.test(
          key,
        ) &&
        !source.includes(`"${key}"`),
    );
    expect(idle).toEqual([]);
    const codes = keys.flatMap((key) => /^problem\.([A-Z_]+)\./.exec(key)?.[1] ?? []);
    expect(codes.filter((code) => !problems.has(code))).toEqual([]);
    const noteCodes = keys.flatMap((key) => /^note\.([A-Z_]+)/.exec(key)?.[1] ?? []);
    expect(noteCodes.filter((code) => !notes.has(code))).toEqual([]);
  });
});

describe.each(["en", "ru"] as const)("every message in %s", (language) => {
  test("renders with its places filled, and with nothing given at all", async () => {
    const words = await loadWords(language);
    for (const key of keys) {
      const data: Record<string, string | number> = {};
      for (const { name, kind } of placesOf(en[key], "en")) data[name] = kind === PLURAL ? 21 : "sample";
      const said = words.say(key, data);
      expect(said, key).not.toMatch(/[{}]/);
      expect(said, key).not.toBe("");
      expect(() => words.say(key)).not.toThrow();
    }
  });
});

test("numbers are declined: 1, 2, 5 and 21 seconds in Russian", async () => {
  const words = await loadWords("ru");
  const said = [1, 2, 5, 11, 21].map((seconds) => words.say("problem.PLEXTV_RATE_LIMITED.what", { seconds }));
  expect(said.map((text) => /подождать (.*)\./.exec(text)?.[1])).toEqual([
    "1 секунду",
    "2 секунды",
    "5 секунд",
    "11 секунд",
    "21 секунду",
  ]);
});

test("a place that gets nothing, or a formatter that fails, still leaves words", async () => {
  const words = await loadWords("en");
  expect(words.say("problem.NEEDS_PRIVILEGE.what", { line: "x" })).toContain("{path}");
  expect(words.say("problem.STOP_TIMEOUT.what", {})).toContain("The server did not stop");
  expect(words.say("no.such.key" as WordKey)).toBe("no.such.key");
});

test("what fills a place is made printable, and a line to copy is not cut", async () => {
  const words = await loadWords("en");
  const path = `/srv/\u001b[31m${"x".repeat(300)}`;
  const said = words.say("problem.SETTINGS_MISSING.what", { path });
  expect(said).toContain("/srv/\\u{1b}[31m");
  expect(said).toContain("…");
  const line = `sudo plex-reclaim reset --settings /${"y".repeat(400)}`;
  expect(words.say("problem.NEEDS_PRIVILEGE.do", { line })).toContain(line);
});

test("a path in a line to copy is one word of the shell", async () => {
  const words = await loadWords("en");
  const said = words.say("problem.SETTINGS_UNSAFE.do", { path: "/srv/a b$(reboot)'s.xml" });
  expect(said).toContain(`ls -la '/srv/a b$(reboot)'\\''s.xml'`);
});
