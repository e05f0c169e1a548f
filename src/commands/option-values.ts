import { resolve } from "node:path";
import { isLoopback } from "../model/loopback.ts";
import { ProblemError } from "../model/problem.ts";
import { looksLikeCode } from "./code-in-argument.ts";
import { type OptionName, optionSpec, type SwitchName, twinOf, type ValueName } from "./options.ts";

/** In place of a file: what comes in on standard input. */
const STANDARD_INPUT = "-";

/** Standard input, and a registry key: the same from any folder. */
export function isNoPath(value: string): boolean {
  return value === STANDARD_INPUT || REGISTRY_KEY.test(value);
}

/**
 * The value so that it means the same to every account: another one may act on a line that we print, and its own key
 * would then be meant by `HKCU`.
 */
export function forEveryAccount(value: string, ownSid: string): string {
  return value.replace(OWN_KEYS, () => `HKEY_USERS\\${ownSid}`);
}

/** Its root in full or as `reg` abbreviates it; the editor copies a key with the computer's name before it. */
const REGISTRY_KEY = /^(?:[^\\/:]+\\)?(?:HKEY_[A-Z_]+|HKU|HKCU|HKLM)(?:\\|$)/i;

/** With the word that the editor puts before it: that is of no account. */
const OWN_KEYS = /^(?:(?!HK)[^\\/:]+\\(?=HKEY_))?(?:HKEY_CURRENT_USER|HKCU)(?=\\|$)/i;

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The values of options: as given, else from the environment twin, else absent. `strict` throws `BAD_VALUE`
 * (naming the option or the variable, never the value), `lenient` takes a bad value for none.
 */
export class OptionValues {
  readonly env: Environment;
  readonly #given: ReadonlyMap<OptionName, string | null>;
  readonly #mood: "strict" | "lenient";

  constructor(given: ReadonlyMap<OptionName, string | null>, env: Environment, mood: "strict" | "lenient") {
    this.#given = given;
    this.env = env;
    this.#mood = mood;
  }

  /** Whether a switch is on. */
  isOn(name: SwitchName): boolean {
    if (this.#given.has(name)) return true;
    const value = this.env[twinOf(name)]?.trim().toLowerCase() ?? "";
    if (value === "" || value === "0" || value === "false") return false;
    return value === "1" || value === "true" || this.#bad(name, "1, true, 0, false") !== undefined;
  }

  /** A text, a path or an identifier. */
  text(name: ValueName): string | undefined {
    const value = this.#value(name);
    if (value === undefined) return undefined;
    if (looksLikeCode(value)) return this.#bad(name, "no-code");
    if (value.includes("\0")) return this.#bad(name, "text");
    const { value: spec } = optionSpec(name);
    if (spec?.shape === "id" && !/^[0-9a-f]{8}$/i.test(value)) return this.#bad(name, "id");
    return value;
  }

  /**
   * A path, absolute from here on: what is written down or printed must mean the same from any folder. A registry key
   * is no path, and stays as it is.
   */
  path(name: ValueName): string | undefined {
    const value = this.text(name);
    return value === undefined || isNoPath(value) ? value : resolve(value);
  }

  choice<const C extends string>(name: ValueName, choices: readonly C[]): C | undefined {
    const value = this.#value(name);
    if (value === undefined) return undefined;
    return choices.find((choice) => choice === value) ?? this.#bad(name, choices.join(", "));
  }

  /** An address without credentials, query or fragment: those would carry a secret where none belongs. */
  url(name: ValueName): string | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    return plainUrl(value)?.text ?? this.#bad(name, "url");
  }

  #value(name: ValueName): string | undefined {
    const given = this.#given.get(name);
    if (given !== undefined && given !== null) return given;
    const twin = this.env[twinOf(name)];
    return twin === "" ? undefined : twin;
  }

  #bad(name: OptionName, allowed: string): undefined {
    if (this.#mood === "lenient") return undefined;
    const option = this.#given.has(name) ? `--${name}` : twinOf(name);
    throw new ProblemError({ code: "BAD_VALUE", option, allowed });
  }
}

/**
 * What stands in for `https://plex.tv` in tests. Only a loopback host is taken, so that a stray variable can
 * send nobody's claim code to a stranger. Throws `PLEXTV_URL_NOT_LOOPBACK`.
 */
export function loopbackUrl(env: Environment): string | undefined {
  const value = env["PLEX_RECLAIM_PLEXTV_URL"] ?? "";
  if (value === "") return undefined;
  const url = plainUrl(value);
  if (url === undefined || !isLoopback(url.host)) {
    throw new ProblemError({ code: "PLEXTV_URL_NOT_LOOPBACK" });
  }
  return url.text;
}

function plainUrl(text: string): { text: string; host: string } | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) return undefined;
  if (`${url.username}${url.password}${url.search}${url.hash}` !== "") return undefined;
  return { text: `${url.origin}${url.pathname}`.replace(/\/+$/, ""), host: url.hostname };
}
