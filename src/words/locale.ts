const LANGUAGES = ["en", "ru"] as const;
/** The languages that have a catalogue. */
export type Language = (typeof LANGUAGES)[number];

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The language to speak: the option's, else the locale's (`LC_ALL`, `LC_MESSAGES`, `LANG`, the first that is
 * set; POSIX.1-2024, XBD 8.2), else English. A locale without a catalogue, `C` and `POSIX` are English.
 */
export function chooseLanguage(option: Language | undefined, env: Environment): Language {
  if (option !== undefined) return option;
  const locale = localeOf(env, "LC_MESSAGES").toLowerCase();
  return LANGUAGES.find((language) => locale === language || /^[_.@-]/.test(after(locale, language))) ?? "en";
}

/**
 * The environment with what Windows does not keep in it: the person's own language where no variable names one, and
 * whether the terminal knows more symbols than ASCII's. The old console draws many of them as boxes, and says nothing
 * about itself; those that can do better leave a mark.
 */
export function withWindowsLocale(env: Environment, personsLocale: string): Environment {
  const named = localeOf(env, "LC_MESSAGES") !== "";
  const modern = MARKS_OF_TERMINALS.some((name) => (env[name] ?? "") !== "");
  const lang = `${personsLocale.replaceAll("-", "_")}${modern ? ".UTF-8" : ""}`;
  return { TERM: "windows-console", ...env, ...(named ? {} : { LANG: lang }) };
}

/** Windows Terminal, Visual Studio Code and WezTerm, ConEmu and Cmder, JetBrains, Alacritty. */
const MARKS_OF_TERMINALS = [
  "WT_SESSION",
  "TERM_PROGRAM",
  "ConEmuANSI",
  "TERMINAL_EMULATOR",
  "ALACRITTY_WINDOW_ID",
] as const;

/** Whether the locale says that the terminal understands UTF-8. */
export function speaksUtf8(env: Environment): boolean {
  return /utf-?8/i.test(localeOf(env, "LC_CTYPE"));
}

function localeOf(env: Environment, category: "LC_MESSAGES" | "LC_CTYPE"): string {
  return (
    [env["LC_ALL"], env[category], env["LANG"]].find((value) => value !== undefined && value !== "") ?? ""
  );
}

function after(locale: string, language: string): string {
  return locale.startsWith(language) ? locale.slice(language.length) : "";
}
