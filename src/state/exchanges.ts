import { createHash } from "node:crypto";
import * as v from "valibot";
import type { Secret } from "../model/secret.ts";
import { appendLine, readIfThere } from "./durable.ts";
import type { StateDirectory } from "./state-directory.ts";

/**
 * Which claim codes were ever sent, and when a device got new credentials. Two questions are answered from it
 * for good: "was this code sent before?" (it is never sent twice), and "is the sign-in in this backup older
 * than the last exchange?" (then it is dead).
 *
 * A code is kept as its SHA-256: 20 random characters cannot be found again from that.
 */
const EntrySchema = v.object({
  at: v.number(),
  device: v.string(),
  code: v.string(),
  /** `exchanged-other`: for another account than the settings had, whose sign-in for this device lives on. */
  what: v.picklist(["sending", "not-sent", "exchanged", "exchanged-other"]),
  /** For `exchanged`: fingerprint of the token in the settings, which is dead from then on. */
  replaced: v.exactOptional(v.string()),
  /** For `exchanged`: fingerprint of the new token. */
  issued: v.exactOptional(v.string()),
});
type Entry = v.InferOutput<typeof EntrySchema>;

const FILE = "exchanges.jsonl";

export async function noteExchange(
  state: StateDirectory,
  entry: {
    at: number;
    deviceId: string;
    code: Secret;
    what: Entry["what"];
    replaced?: Secret;
    issued?: Secret;
  },
): Promise<void> {
  const line: Entry = {
    at: entry.at,
    device: hash(entry.deviceId),
    code: fingerprint(entry.code),
    what: entry.what,
    ...(entry.replaced === undefined ? {} : { replaced: fingerprint(entry.replaced) }),
    ...(entry.issued === undefined ? {} : { issued: fingerprint(entry.issued) }),
  };
  await appendLine(state.root, FILE, JSON.stringify(line));
}

/** Whether this code may already have reached plex.tv. */
export async function wasSent(state: StateDirectory, code: Secret): Promise<boolean> {
  const entries = (await all(state)).filter((entry) => entry.code === fingerprint(code));
  return entries.length > 0 && entries.at(-1)?.what !== "not-sent";
}

/**
 * Whether a sign-in that was saved is known to be dead: an exchange of ours replaced it, or came after it.
 * `token`: its fingerprint; `savedAt`: milliseconds since 1970.
 */
export async function isDeadSignIn(
  state: StateDirectory,
  deviceId: string,
  saved: { token: string; savedAt: number },
): Promise<boolean> {
  const done = (await all(state)).filter((e) => e.what === "exchanged" && e.device === hash(deviceId));
  return done.some(
    ({ at, replaced, issued }) => replaced === saved.token || (saved.savedAt <= at && issued !== saved.token),
  );
}

/** A token or code that can be told again, and not be found from this: both are long and random. */
export function fingerprint(secret: Secret): string {
  return hash(secret.reveal());
}

async function all(state: StateDirectory): Promise<Entry[]> {
  const bytes = await readIfThere(state.root, FILE);
  if (bytes === null) return [];
  const lines = new TextDecoder().decode(bytes).split("\n");
  // A line that was cut off by a crash is skipped: the one after it begins with the rest of it.
  return lines.flatMap((line) => {
    const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), EntrySchema), line);
    return parsed.success ? [parsed.output] : [];
  });
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
