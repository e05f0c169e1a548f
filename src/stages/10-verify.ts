import type { Criterion, Evidence } from "../model/event.ts";
import { isLoopbackUrl } from "../model/loopback.ts";
import type { Secret } from "../model/secret.ts";
import type { Server } from "../model/server.ts";
import { hasToken, type Settings } from "../model/settings.ts";
import type { PlexTv, UserAnswer } from "../plex/account.ts";
import { readSignInLog } from "../plex/log.ts";
import { account, authorisedLibraries, identity } from "../plex/server.ts";
import type { World } from "../world/world.ts";
import {
  expectedAccount,
  judgeAccount,
  judgeLogs,
  judgeReachable,
  type ServerSight,
} from "./acceptance-criteria.ts";

/** With what the criteria are looked at. `signal` ends the looking; the last evidence is reported all the same. */
export interface VerifyContext {
  readonly world: Pick<World, "http" | "clock" | "files">;
  readonly plexTv: Pick<PlexTv, "user">;
  readonly signal?: AbortSignal;
}

/** What is looked at, and for how long. */
export interface VerifySubject {
  readonly server: Pick<Server, "url" | "dataFolder">;
  /** As they are written now: the sign-in in them is the one to be verified. */
  readonly settings: Settings;
  readonly running: boolean;
  /** User name or e-mail; the account in the settings where it is not given. */
  readonly expectAccount?: string;
  /** When we started the server, in milliseconds since 1970: an older start in the log does not count. */
  readonly startedAt?: number;
  /** How long to go on looking while something is not as it should be: a server signs in seconds after its start. */
  readonly patienceMs: number;
}

/**
 * The three acceptance criteria, each with what was seen. Looks again each second until all three are met, one has
 * failed for good, or the patience is at its end, and reports the last look. Never throws for what it sees.
 *
 * `claimed="1"` plays no part. The server's token goes to the server with the right identity on this machine, and to
 * plex.tv; a stopped server is not asked at all.
 */
export async function verify(context: VerifyContext, subject: VerifySubject): Promise<Criterion[]> {
  if (!subject.running) return all("cannot-tell", { code: "NOT_RUNNING" });
  const { clock } = context.world;
  const askPlexTv = patientUser(context, subject.settings);
  const startMs = clock.monotonicMs();
  for (;;) {
    const criteria = await look(context, subject, askPlexTv);
    const waitMs = Math.min(POLL_MS, subject.patienceMs - (clock.monotonicMs() - startMs));
    if (isSettled(criteria) || waitMs <= 0 || context.signal?.aborted === true) return criteria;
    await clock.sleep(waitMs, context.signal);
  }
}

const POLL_MS = 1_000;
const PLEXTV_ASKED_AT_MOST = 3;
const PLEXTV_ASKED_AGAIN_MS = 5_000;

async function look(
  context: VerifyContext,
  subject: VerifySubject,
  askPlexTv: () => Promise<UserAnswer>,
): Promise<Criterion[]> {
  const { world } = context;
  const { server, settings, startedAt } = subject;
  const [sight, user] = await Promise.all([lookAtServer(world, server.url, settings), askPlexTv()]);
  // After the server's answers: once it says that it is signed in, what plex.tv said to it is in its log.
  const log = await readSignInLog(world, server, startedAt === undefined ? {} : { since: startedAt });
  const expected = expectedAccount(settings, subject.expectAccount);
  return [judgeReachable(sight), judgeAccount(sight, user, log, expected), judgeLogs(log)];
}

async function lookAtServer(
  world: Pick<World, "http">,
  url: string,
  settings: Settings,
): Promise<ServerSight> {
  const token = settings.credentials.token;
  if (token === undefined || !hasToken(settings)) return blocked("not-met", { code: "NO_TOKEN" });
  if (!isLoopbackUrl(url)) return blocked("cannot-tell", { code: "NOT_LOOPBACK", url });
  const answer = await identity(world, url);
  switch (answer.kind) {
    case "silent":
      return blocked("not-met", { code: "NO_ANSWER", url });
    case "maintenance":
      return blocked("cannot-tell", { code: "IN_MAINTENANCE", url });
    case "nonsense":
      return blocked("not-met", { code: "UNEXPECTED_STATUS", status: answer.status });
    case "answers":
      if (answer.machineIdentifier !== settings.identity.processedMachineIdentifier)
        return blocked("not-met", { code: "ANOTHER_SERVER_ANSWERS", url });
      return askAsOwner(world, url, token);
  }
}

async function askAsOwner(world: Pick<World, "http">, url: string, token: Secret): Promise<ServerSight> {
  const [authorised, open, signedIn] = await Promise.all([
    authorisedLibraries(world, url, token),
    authorisedLibraries(world, url, null),
    account(world, url, token),
  ]);
  return { kind: "seen", url, authorised, open, account: signedIn };
}

function blocked(result: "not-met" | "cannot-tell", evidence: Evidence): ServerSight {
  return { kind: "blocked", result, evidence };
}

/** Asks plex.tv until it has said yes or no, three times at most and not more often than every five seconds. */
function patientUser(context: VerifyContext, settings: Settings): () => Promise<UserAnswer> {
  const { clock } = context.world;
  const { token } = settings.credentials;
  const deviceId = settings.identity.processedMachineIdentifier;
  let answer: UserAnswer = { kind: "cannot-tell", reason: "NO_TOKEN" };
  let asked = 0;
  let askedAtMs = 0;
  return async () => {
    if (token === undefined || !hasToken(settings) || answer.kind !== "cannot-tell") return answer;
    const tooSoon = asked > 0 && clock.monotonicMs() - askedAtMs < PLEXTV_ASKED_AGAIN_MS;
    if (tooSoon || asked === PLEXTV_ASKED_AT_MOST || answer.reason === "OFFLINE") return answer;
    asked += 1;
    askedAtMs = clock.monotonicMs();
    answer = await context.plexTv.user(token, deviceId);
    return answer;
  };
}

/** Nothing that another look would change: all met, or one lost for good. */
function isSettled(criteria: readonly Criterion[]): boolean {
  const lost = criteria.some(({ result, evidence }) => result === "not-met" && FINAL.has(evidence.code));
  return lost || criteria.every(({ result, evidence }) => result === "met" || FINAL.has(evidence.code));
}

const FINAL: ReadonlySet<Evidence["code"]> = new Set([
  "NO_TOKEN",
  "NOT_LOOPBACK",
  "TOKEN_REVOKED",
  "SIGNED_IN_AS_ANOTHER",
  "ANOTHER_SERVER_ANSWERS",
  "LOG_UNREADABLE",
]);

function all(result: Criterion["result"], evidence: Evidence): Criterion[] {
  return (["reachable", "account", "logs"] as const).map((name) => ({ name, result, evidence }));
}
