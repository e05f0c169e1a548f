import { win32 } from "node:path";
import { ProblemError } from "../model/problem.ts";
import { isSid } from "./windows-machine.ts";
import { SERVER_KEY } from "./windows-registry.ts";

/** The settings that a person named: an account's key, or a file. */
export type NamedSettings =
  | { readonly kind: "key"; readonly sid: string }
  | { readonly kind: "file"; readonly path: string };

/**
 * Understands `--settings` on Windows. A key is the server's own one below `HKEY_USERS\SID` or, of our own account,
 * below `HKEY_CURRENT_USER`, with the short names of both, and with the word before it with which the registry editor
 * copies a key (`Computer\`, in its own language); anything else that begins as a key throws `BAD_VALUE`.
 */
export function namedSettings(named: string, ownSid: string): NamedSettings {
  if (!LIKE_A_KEY.test(named)) return { kind: "file", path: win32.normalize(named) };
  const [, users, path] = KEY.exec(named) ?? [];
  const sid = users?.toUpperCase() ?? ownSid;
  if (path?.toLowerCase() !== SERVER_KEY.toLowerCase() || !isSid(sid)) {
    throw new ProblemError({ code: "BAD_VALUE", option: "--settings", allowed: "registry-key" });
  }
  return { kind: "key", sid };
}

const LIKE_A_KEY = /^(?:[^\\/:]+\\)?HK(?:EY_|[A-Z]{1,3}(?:\\|$))/iu;
const KEY =
  /^(?:(?!HK)[^\\/:]+\\(?=HKEY_))?(?:HKEY_CURRENT_USER|HKCU|(?:HKEY_USERS|HKU)\\([^\\]+))\\(.+?)\\?$/iu;
