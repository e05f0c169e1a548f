import { Secret } from "../model/secret.ts";
import type { NewCredentials } from "../model/settings.ts";
import { type JsonObject, objectIn, readAnswer, stringIn, type XmlElement } from "./answer.ts";

/**
 * The credentials in a successful answer of `claim/exchange`, or null where they are not whole.
 *
 * XML: root `<user>`, with the token, user name and e-mail as children (`authentication-token`, `username`,
 * `email`) or, second, as attributes (`authenticationToken`, `authToken`). JSON: `authToken`,
 * `authentication_token` or `token`, with `username` and `email`, plain or within `user`.
 * Sources: pms-docker, linuxserver, hotio and the Home Assistant app cut the child element out; others read the
 * attribute; the JSON form is from 2022 and unverified today.
 *
 * A token is opaque (20 characters of old, or a JWT): printable ASCII without white space, at most 4 KiB. A claim
 * code sent back is no token. A user name or e-mail that is absent, longer than 1 KiB, or holds a character that
 * XML 1.0 cannot carry counts as the empty string: the token alone signs a server in (the images write nothing
 * else), and a good token is never thrown away for the sake of a name.
 */
export function credentialsIn(body: string): NewCredentials | null {
  const answer = readAnswer(body);
  if (answer === null) return null;
  const found = answer.format === "xml" ? fromXml(answer.root) : fromJson(answer.object);
  const token = found?.token ?? "";
  if (!TOKEN.test(token) || token.startsWith("claim-")) return null;
  return { token: new Secret(token), username: nameOf(found?.username), mail: nameOf(found?.mail) };
}

interface Found {
  readonly token: string | null;
  readonly username: string | null;
  readonly mail: string | null;
}

const TOKEN = /^[\x21-\x7e]{1,4096}$/;
const LONGEST_NAME = 1024;
const BEYOND_XML = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u;

function fromXml(root: XmlElement): Found | null {
  if (root.name.toLowerCase() !== "user") return null;
  const child = (name: string): string | null => {
    const [first, ...others] = root.children.filter((element) => element.name === name);
    if (first === undefined) return null;
    // Two different tokens: neither can be trusted to be the server's.
    return others.every((other) => other.text === first.text) ? first.text : "";
  };
  const attribute = (...names: string[]): string | null => {
    const name = names.find((candidate) => root.attributes.has(candidate));
    return name === undefined ? null : (root.attributes.get(name) ?? null);
  };
  return {
    token: (
      child("authentication-token") ??
      attribute("authenticationToken", "authToken", "authentication-token") ??
      ""
    ).trim(),
    username: child("username") ?? attribute("username"),
    mail: child("email") ?? attribute("email"),
  };
}

function fromJson(object: JsonObject): Found {
  const user = objectIn(object, "user") ?? object;
  return {
    token: stringIn(user, "authToken") ?? stringIn(user, "authentication_token") ?? stringIn(user, "token"),
    username: stringIn(user, "username"),
    mail: stringIn(user, "email"),
  };
}

function nameOf(value: string | null | undefined): string {
  if (value === null || value === undefined) return "";
  return value.length > LONGEST_NAME || BEYOND_XML.test(value) ? "" : value;
}
