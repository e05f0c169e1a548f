import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { PlexTvRecords } from "../../src/standins/plex-tv-records.ts";

/**
 * Every token and claim code that the stand-in plex.tv of this process gives out is remembered here, and looked
 * for, in any shape in which it could have got away, in what the program says and leaves behind.
 */
const secrets = new Set<string>();

const { issueServerToken, issueUserToken, issueClaimCode } = PlexTvRecords.prototype;
PlexTvRecords.prototype.issueServerToken = function remembered(...args) {
  const signIn = issueServerToken.apply(this, args);
  keepSecret(signIn.token);
  return signIn;
};
PlexTvRecords.prototype.issueUserToken = function remembered(...args) {
  const signIn = issueUserToken.apply(this, args);
  keepSecret(signIn.token);
  return signIn;
};
PlexTvRecords.prototype.issueClaimCode = function remembered(...args) {
  const code = issueClaimCode.apply(this, args);
  keepSecret(code);
  return code;
};

/** Adds a secret that did not come from plex.tv. */
export function keepSecret(secret: string | null): void {
  if (secret !== null && secret !== "") secrets.add(secret);
}

/** Throws when a secret stands in a text, whole or by its half, as it is or encoded. */
export function demandNoSecret(text: string, where: string): void {
  // The message must not repeat it.
  for (const secret of secrets)
    for (const [shape, written] of shapesOf(secret))
      if (text.includes(written)) throw new Error(`a secret (${shape}) stands in ${where}`);
}

/**
 * Throws when anything in the state directory can be read by others, or holds a secret elsewhere than in the
 * backups and the parked credentials.
 */
export function demandPrivate(stateDirectory: string): void {
  let entries: string[];
  try {
    entries = readdirSync(stateDirectory, { recursive: true }) as string[];
  } catch {
    return;
  }
  for (const entry of ["", ...entries]) {
    const path = join(stateDirectory, entry);
    const stat = statSync(path);
    const wanted = stat.isDirectory() ? 0o700 : 0o600;
    const mode = stat.mode & 0o7777;
    if (mode !== wanted) throw new Error(`${path} has mode ${mode.toString(8)}`);
    if (stat.isFile() && !MAY_HOLD_SECRETS.test(entry)) demandNoSecret(readFileSync(path, "latin1"), path);
  }
}

/** A run that was killed may leave one of them unfinished, under a name with a dot. */
const MAY_HOLD_SECRETS =
  /^(?:backups\/[^/]+\/(?:settings\.(?:xml|plist)|original-[^/]+|\.settings\.(?:xml|plist)\.new)|parked\/(?:[^/.]+\.json|\.[^/.]+\.json\.new))$/;

function shapesOf(secret: string): [string, string][] {
  const known = shapes.get(secret);
  if (known !== undefined) return known;
  const bytes = Buffer.from(secret);
  const bare = secret.replace(/^claim-/, "");
  const made: [string, string][] = [
    ["as it is", secret],
    ["its first half", bare.slice(0, 10)],
    ["its second half", bare.slice(-10)],
    ["URL-encoded", encodeURIComponent(secret)],
    ["JSON-escaped", JSON.stringify(secret).slice(1, -1)],
    ["XML-escaped", escapedForXml(secret)],
    ["backwards", [...secret].reverse().join("")],
    ["hex", bytes.toString("hex")],
    ["HEX", bytes.toString("hex").toUpperCase()],
    ...[0, 1, 2].flatMap((offset): [string, string][] => [
      ["base64", base64At(bytes, offset, "base64")],
      ["base64url", base64At(bytes, offset, "base64url")],
    ]),
  ];
  const long = made.filter(([, written]) => written.length >= 8);
  shapes.set(secret, long);
  return long;
}

const shapes = new Map<string, [string, string][]>();

function escapedForXml(secret: string): string {
  return secret
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&apos;");
}

/** The part of a base64 text that depends on the secret alone, when it begins at `offset` of three bytes. */
function base64At(bytes: Buffer, offset: number, encoding: "base64" | "base64url"): string {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString(encoding);
  return text.slice([0, 2, 3][offset], Math.floor((offset + bytes.length) / 3) * 4);
}
