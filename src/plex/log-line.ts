import { instantOf, monthNumber } from "./instant.ts";

/** What a line of `Plex Media Server.log` says about the sign-in. */
export type Sign =
  /** The head of a file: the server starts, or goes on in a new file. `at`: milliseconds since 1970, if it tells. */
  | { readonly kind: "start"; readonly at: number | null }
  /** plex.tv refused the server's own token. */
  | { readonly kind: "refused"; readonly status: 401 | 403 }
  /** plex.tv accepted it. `proves` names the refusals after which the line may be believed. */
  | { readonly kind: "accepted"; readonly proves: readonly (401 | 403)[] }
  /** Whether the server had a token to send: without one a 401 means "unclaimed", not "revoked". */
  | { readonly kind: "token"; readonly present: boolean }
  | { readonly kind: "other" };

/**
 * Reads one line, without its line break; null for what is not in Plex's grammar, as the further lines of a message
 * are: `Mon DD, YYYY HH:MM:SS.mmm [thread] LEVEL - message`, local time, before 2016 without `.mmm`; the message may
 * begin with `[HttpClient/HCl#25] `. Source: public samples, Tautulli's log reader.
 *
 * Only the beginning of a message counts, so that a file name or a client's name cannot speak for the server.
 */
export function readLogLine(line: string): Sign | null {
  const match = GRAMMAR.exec(line);
  if (match === null) return null;
  const message = match[8] ?? "";
  if (!WORTH_A_LOOK.test(message)) return { kind: "other" };
  if (message.startsWith(BANNER)) return { kind: "start", at: startTime(match, message) };
  for (const row of ROWS) {
    const found = row.pattern.exec(message);
    if (found !== null) return row.sign(found);
  }
  return { kind: "other" };
}

const GRAMMAR =
  /^([A-Z][a-z]{2}) (\d{2}), (\d{4}) (\d{2}):(\d{2}):(\d{2})(?:\.(\d{3}))? \[[^\]]{1,40}\] (?:VERBOSE|DEBUG|INFO|WARN|ERROR)\s+- (?:\[[^\]]{1,80}\] )*(.*)$/su;
const WORTH_A_LOOK = /Plex|plex\.tv/;
const BANNER = "Plex Media Server v";

interface Row {
  readonly source: string;
  readonly pattern: RegExp;
  sign(match: RegExpExecArray): Sign;
}

const PLEXTV = String.raw`https://(?:[a-z0-9-]+\.)*plex\.tv`;
const RESPONSE = String.raw`(?:HTTP/[\d.]+ \([^)]*\) )?`;

/**
 * The lines that count, with where each was seen. Newer servers ask `servers.plex.tv` where older ones asked
 * `plex.tv` (public reports on 1.43). A 401 that plex.tv gives to some user's token, which servers also log, is
 * not among them.
 */
const ROWS: readonly Row[] = [
  {
    source: "github.com/linuxserver/docker-plex/issues/420 (401); forums.plex.tv/t/932522 (403)",
    pattern: new RegExp(
      `^${RESPONSE}(401|403) response from [A-Z]+ ${PLEXTV}/api/v2/server/users/features\\b`,
    ),
    sign: refusal,
  },
  {
    source: "github.com/linuxserver/docker-plex/issues/420; 403 by analogy, unverified",
    pattern: new RegExp(`^MyPlex: Error (401|403) requesting (?:JSON|XML) from: ${PLEXTV}/api/v2/server/`),
    sign: refusal,
  },
  {
    source: "inferred: the calls with which a server publishes itself; no public log of the refusal",
    pattern: new RegExp(`^${RESPONSE}(401) response from (?:POST|PUT) ${PLEXTV}/(?:servers\\.xml|devices/)`),
    sign: refusal,
  },
  {
    // A server with 403 on its features was seen `mapped` all the same (forum 932522): only this answer clears a 403.
    source: "the answer to the same request where all is well",
    pattern: new RegExp(`^${RESPONSE}200 response from [A-Z]+ ${PLEXTV}/api/v2/server/users/features\\b`),
    sign: () => ({ kind: "accepted", proves: [401, 403] }),
  },
  {
    source: "public sample of a healthy publication",
    pattern: /^MyPlex: Published Mapping State response was 20\d\b/,
    sign: () => ({ kind: "accepted", proves: [401] }),
  },
  {
    // Plex masks a token as twenty x; nothing after `=` means that the server has none.
    source: "github.com/linuxserver/docker-plex/issues/420",
    pattern: new RegExp(`^.{0,60}\\b[A-Z]+ ${PLEXTV}/api/v2/features\\?(?:[^ ]*&)?X-Plex-Token=([^& ]?)`),
    sign: (match) => ({ kind: "token", present: match[1] !== "" }),
  },
];

function refusal(match: RegExpExecArray): Sign {
  return { kind: "refused", status: match[1] === "403" ? 403 : 401 };
}

/** The banner ends with the zone of all times in the file: `… windows - GMT -06:00`; a plus may be left out. */
function startTime(match: RegExpExecArray, message: string): number | null {
  const zone = /\bGMT ([+-]?)(\d{2}):(\d{2})\s*$/.exec(message);
  const month = monthNumber(match[1] ?? "");
  if (zone === null || month === null) return null;
  const local = instantOf({
    year: Number(match[3]),
    month,
    day: Number(match[2]),
    hour: Number(match[4]),
    minute: Number(match[5]),
    second: Number(match[6]),
    millisecond: Number(match[7] ?? "0"),
  });
  const ahead = (Number(zone[2]) * 60 + Number(zone[3])) * 60_000;
  return zone[1] === "-" ? local + ahead : local - ahead;
}
