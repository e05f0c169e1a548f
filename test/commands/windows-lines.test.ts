import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ownLine, type Program, privilegedLine } from "../../src/commands/privileged-line.ts";
import { windowsLine, windowsWord } from "../../src/model/windows-word.ts";
import type { WindowsSystem } from "../../src/world/windows-system.ts";
import {
  argumentsIn,
  cmdLine,
  lineOfCmd,
  powershellWords,
  startedAsAdministrator,
} from "../support/windows-shells.ts";

const NODE = "C:\\Program Files\\nodejs\\node.exe";
const SCRIPT = "C:\\Users\\Anna Müller\\plex-reclaim\\bin\\plex-reclaim.js";
const PROGRAM = { command: [NODE, SCRIPT], windows: { folder: "D:\\my folder" } };
const CODE = "claim-ABCDEFGHIJKLMNOPQRST";
const VARIABLES = { PATH: "C:\\Windows", a: "A&calc", USERNAME: "x y", "a b": "1", ":": "2", "=": "3" };

/** Any text that can be a word, spiced with what the shells of Windows care about. */
const word = fc
  .array(
    fc.oneof(
      fc.string({ maxLength: 5 }),
      fc.string({ unit: "grapheme", maxLength: 3 }),
      fc.constantFrom(
        ...'%PATH% %a% %a:x=y% %PATH:~0,3% %% % ^ ^% ^^ " "" \\ \\\\ \\" \' \'\' ’ ‘ “ ” „ $ $HOME $(calc) ` !'.split(
          " ",
        ),
        ..."! !a! & && | || < > ( ) { } {0} {{ @ , ; # ~ = : * ? [ ] / -- - -f [char]34 а ё 日本 😀".split(
          " ",
        ),
        " ",
        "  ",
        "\t",
      ),
    ),
    { maxLength: 6 },
  )
  .map((parts) => parts.join("").replaceAll(/[\0\r\n]/g, ""));

describe("a word of a line for Windows", () => {
  test("is just itself for a program that cmd starts, whatever stands in it", () => {
    fc.assert(
      fc.property(fc.array(word, { maxLength: 5 }), (words) => {
        const line = windowsLine(["program", ...words]);
        expect(argumentsIn(cmdLine(line, VARIABLES))).toEqual(["program", ...words]);
      }),
      { numRuns: 2_000 },
    );
  });

  test("is just itself for PowerShell, too, unless it holds what PowerShell fills in or ends a text with", () => {
    const plain = word.filter((text) => !/[%$`"“”„]|\\$/.test(text));
    fc.assert(
      fc.property(fc.array(plain, { maxLength: 5 }), (words) => {
        expect(powershellWords(windowsLine(["program", ...words]))).toEqual(["program", ...words]);
      }),
      { numRuns: 1_000 },
    );
  });

  test.each([
    ["C:\\plain\\path.js", "C:\\plain\\path.js"],
    ["C:\\with blank\\", '"C:\\with blank\\\\"'],
    ["--state-dir", "--state-dir"],
    ["-", "-"],
    ["", '""'],
    ["100%", '"100"^%'],
    ["%x", '^%"x"'],
    ['say "hi"', '"say ""hi"""'],
    ["Иван", "Иван"],
  ])("%s is typed as %s", (text, typed) => {
    expect(windowsWord(text)).toBe(typed);
  });
});

/** What becomes of a line in either shell: the words that the program in the administrator's window gets. */
function elevatedWords(line: string, shell: "cmd" | "powershell"): { words: string[]; before: string[] } {
  const words = shell === "cmd" ? argumentsIn(cmdLine(line, VARIABLES)) : powershellWords(line);
  expect(words.slice(0, 3)).toEqual(["powershell", "-NoProfile", "-Command"]);
  expect(words).toHaveLength(4);
  const { file, commandLine } = startedAsAdministrator(words[3] ?? "");
  expect(file).toBe("C:\\Windows\\System32\\cmd.exe");
  const parts = lineOfCmd(commandLine).split("&& ");
  const settings = parts.filter((part) => /^set "[A-Z_]+=[^"]*"$/.test(part));
  const call = parts.slice(settings.length).join("&& ");
  return { words: argumentsIn(cmdLine(call, VARIABLES)), before: settings };
}

const SID = "S-1-5-21-1-2-3-1001";

/** The world of an account, as far as lines are made from it. */
function worldOf(
  env: Readonly<Record<string, string>> = {},
  elevation = { elevated: false, split: false },
  systemFolder = "C:\\Windows\\System32",
) {
  const machine = { systemFolder, programData: "C:\\ProgramData" };
  const windows = { self: { sid: SID, session: 1, ...elevation }, machine } as unknown as WindowsSystem;
  return { env, windows, user: { uid: -1, gid: -1, name: "jane", home: "C:\\Users\\jane" } };
}

function elevated(program: Program, env: Readonly<Record<string, string>> = {}) {
  const line = privilegedLine(program, worldOf(env));
  const result = elevatedWords(line, "cmd");
  expect(elevatedWords(line, "powershell")).toEqual(result);
  return { ...result, line };
}

const value = word.filter((text) => text !== "" && !text.startsWith("-") && !text.includes("claim"));

describe("the line for an administrator's window", () => {
  test("gives the program the same words through all three shells, whatever stands in them", () => {
    fc.assert(
      fc.property(value, word, (stop, folder) => {
        const command = [NODE, `C:\\${folder}\\x.js`];
        const { words } = elevated({ ...PROGRAM, command, args: ["status", "--stop-command", stop] });
        expect(words).toEqual([...command, "status", "--stop-command", stop]);
      }),
      { numRuns: 1_000 },
    );
  });

  test("may be typed as it is into cmd and into PowerShell, and says what it does", () => {
    const { line } = elevated({ ...PROGRAM, args: ["reset", "--yes"] });
    expect(line).toBe(
      'powershell -NoProfile -Command "Start-Process -Verb RunAs ' +
        "'C:\\Windows\\System32\\cmd.exe' ('/d /v:off /s /k {0}{0}C:\\Program Files\\nodejs\\node.exe{0} " +
        "{0}C:\\Users\\Anna Müller\\plex-reclaim\\bin\\plex-reclaim.js{0} reset --yes{0}' -f [char]34)\"",
    );
  });

  test("makes relative paths whole: the window opens in another folder", () => {
    const args = [
      "reset",
      "--settings",
      "HKEY_USERS\\S-1\\Software\\x",
      "--state-dir=..\\state",
      "--claim-code-file",
      "code.txt",
    ];
    expect(elevated({ ...PROGRAM, args }).words.slice(2)).toEqual([
      "reset",
      "--settings",
      "HKEY_USERS\\S-1\\Software\\x",
      "--state-dir",
      "D:\\state",
      "--claim-code-file",
      "D:\\my folder\\code.txt",
    ]);
  });

  test("has the options that came from the environment, which the window does not get; no others, and no code", () => {
    const env = {
      PLEX_RECLAIM_LANG: "ru",
      PLEX_RECLAIM_VERBOSE: "1",
      PLEX_RECLAIM_OFFLINE: "0",
      PLEX_RECLAIM_STATE_DIR: "state",
      PLEX_RECLAIM_STOP_COMMAND: CODE,
      PLEX_RECLAIM_KEEP: "1",
      PLEX_RECLAIM_YES: "true",
      PLEX_RECLAIM_SECRET: "x",
      PLEX_RECLAIM_PLEXTV_URL: "http://127.0.0.1:8080",
      PLEX_CLAIM: CODE,
    };
    const { words, before, line } = elevated({ ...PROGRAM, args: ["status", "--lang", "en"] }, env);
    expect(words.slice(2)).toEqual([
      "status",
      "--lang",
      "en",
      "--verbose",
      "--state-dir",
      "D:\\my folder\\state",
    ]);
    expect(before).toEqual(['set "PLEX_RECLAIM_PLEXTV_URL=http://127.0.0.1:8080"']);
    expect(line).not.toContain("ABCDEFGH");
    const odd = elevated({ ...PROGRAM, args: ["status"] }, { PLEX_RECLAIM_PLEXTV_URL: 'http://x"&calc' });
    expect(odd.before).toEqual([]);
    expect(odd.words).toEqual([NODE, SCRIPT, "status"]);
  });

  test("asks for the code again where it was in the environment alone", () => {
    const env = { PLEX_CLAIM: CODE };
    for (const command of ["reset", "claim"]) {
      const { words } = elevated({ ...PROGRAM, args: [command] }, env);
      expect(words.slice(2)).toEqual([command, "--claim-code-file", "-"]);
    }
    const args = ["claim", "--claim-code-file", "-"];
    expect(elevated({ ...PROGRAM, args }, env).words.slice(2)).toEqual(args);
    expect(elevated({ ...PROGRAM, args: ["status"] }, env).words.slice(2)).toEqual(["status"]);
  });

  test("takes the shell from the system's folder, wherever that is and whatever our environment says", () => {
    const program = { ...PROGRAM, args: ["status"] };
    const env = { SystemRoot: "D:\\mine", SYSTEMROOT: "D:\\mine" };
    const line = privilegedLine(program, worldOf(env, undefined, "E:\\WINNT\\system32"));
    expect(line).toContain("'E:\\WINNT\\system32\\cmd.exe'");
  });

  const KEY = "Software\\Plex, Inc.\\Plex Media Server";

  test.each([
    [`HKCU\\${KEY}`, `HKEY_USERS\\${SID}\\${KEY}`],
    [`hkey_current_user\\${KEY}\\`, `HKEY_USERS\\${SID}\\${KEY}\\`],
    [`Компьютер\\HKEY_CURRENT_USER\\${KEY}`, `HKEY_USERS\\${SID}\\${KEY}`],
    [`HKEY_USERS\\S-1-5-21-9\\${KEY}`, `HKEY_USERS\\S-1-5-21-9\\${KEY}`],
    ["-", "-"],
  ])("names our own registry key so that it is ours for whoever consents (%s)", (settings, named) => {
    for (const given of [
      elevated({ ...PROGRAM, args: ["reset", "--yes", `--settings=${settings}`] }),
      elevated({ ...PROGRAM, args: ["reset", "--yes"] }, { PLEX_RECLAIM_SETTINGS: settings }),
    ]) {
      expect(given.words.slice(2)).toEqual(["reset", "--yes", "--settings", named]);
    }
  });

  test("leaves what is no path as it is, though it begins as a key", () => {
    const args = ["reset", "--stop-command", "HKCU\\x"];
    expect(elevated({ ...PROGRAM, args }).words.slice(2)).toEqual(args);
  });
});

describe("the line of another command, on Windows", () => {
  const as = (elevation: { elevated: boolean; split: boolean }, env = {}) => worldOf(env, elevation);
  const person = as({ elevated: false, split: false });
  const program = { ...PROGRAM, args: [] };

  test("begins with a word that PowerShell takes for a command, too", () => {
    const line = ownLine({ program, world: person }, "undo", {}, "20261122-r1");
    expect(line).toBe(`node "${SCRIPT}" undo 20261122-r1`);
    expect(powershellWords(line)).toEqual(["node", SCRIPT, "undo", "20261122-r1"]);
    const elsewhere = { ...program, command: ["D:\\node\\node.exe", SCRIPT] };
    expect(ownLine({ program: elsewhere, world: person }, "undo", {})).toMatch(/^D:\\node\\node\.exe "/);
    const packed = { ...program, command: ["C:\\my tools\\plex-reclaim.exe"] };
    expect(argumentsIn(ownLine({ program: packed, world: person }, "claim", {}))).toEqual([
      "C:\\my tools\\plex-reclaim.exe",
      "claim",
    ]);
  });

  test("has the state directory where it is not the usual one, and needs no administrator", () => {
    const options = { stateDir: "D:\\my state\\", server: "0a1b2c3d" };
    const undo = ownLine({ program, world: person }, "undo", options);
    expect(argumentsIn(cmdLine(undo, VARIABLES)).slice(2)).toEqual(["undo", "--state-dir", "D:\\my state\\"]);
    const claim = ownLine({ program, world: person }, "claim", options);
    expect(argumentsIn(cmdLine(claim, VARIABLES)).slice(2)).toEqual([
      "claim",
      "--state-dir",
      "D:\\my state\\",
      "--server",
      "0a1b2c3d",
    ]);
    const moved = as({ elevated: false, split: false }, { LOCALAPPDATA: "E:\\Local" });
    expect(ownLine({ program, world: moved }, "undo", {})).toContain("--state-dir E:\\Local\\plex-reclaim");
  });

  test("names our own registry key so that it is ours for whoever types it", () => {
    const options = { settings: "HKCU\\Software\\x" };
    const named = ["claim", "--settings", `HKEY_USERS\\${SID}\\Software\\x`];
    const typed = ownLine({ program, world: person }, "claim", options);
    expect(argumentsIn(cmdLine(typed, VARIABLES)).slice(2)).toEqual(named);
    const consent = ownLine({ program, world: as({ elevated: true, split: true }) }, "claim", options);
    expect(elevatedWords(consent, "powershell").words.slice(2)).toEqual(named);
  });

  test("opens an administrator's window again for who became one by a consent, and for nobody else", () => {
    const consent = ownLine({ program, world: as({ elevated: true, split: true }) }, "undo", {}, "r1");
    expect(elevatedWords(consent, "cmd").words).toEqual([NODE, SCRIPT, "undo", "r1"]);
    const always = ownLine({ program, world: as({ elevated: true, split: false }) }, "undo", {}, "r1");
    expect(always).toBe(`node "${SCRIPT}" undo r1`);
  });
});
