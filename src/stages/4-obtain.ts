import { type ProblemCode, ProblemError } from "../model/problem.ts";
import type { Secret } from "../model/secret.ts";
import type { NewCredentials, Settings } from "../model/settings.ts";
import type { PlexTv } from "../plex/account.ts";
import { noteExchange, wasSent } from "../state/exchanges.ts";
import type { Journal } from "../state/journal.ts";
import { parkCredentials, parkedCredentials, removeParked } from "../state/parked-credentials.ts";
import type { StateDirectory } from "../state/state-directory.ts";
import { asProblem } from "./as-problem.ts";
import { heedInterrupt, note, type PathContext } from "./context.ts";

/** What obtaining new credentials needs; nothing here touches the server. */
export interface ObtainOptions {
  readonly settings: Settings;
  readonly plexTv: PlexTv;
  /** User name or e-mail address that the new sign-in must have. */
  readonly expectAccount?: string;
  /** Asked when the new account is not the one in the settings. */
  acceptOwner(from: string, to: string): Promise<boolean>;
}

/**
 * Exchanges a claim code for the server's new credentials and parks them durably: from then on the old sign-in
 * is dead and these are kept whatever happens. The code is marked as sent before it is sent, and never sent
 * twice (but where plex.tv answers 429, which says that it did nothing with it).
 *
 * Throws what `PlexTv.exchange` throws, `CLAIM_CODE_ALREADY_SENT`, and `WRONG_ACCOUNT` after the new device was
 * signed out again where plex.tv allows that.
 */
export async function obtainByClaimCode(
  context: PathContext,
  state: StateDirectory,
  journal: Journal,
  code: Secret,
  options: ObtainOptions,
): Promise<NewCredentials> {
  const deviceId = options.settings.identity.processedMachineIdentifier;
  if (await wasSent(state, code)) throw new ProblemError({ code: "CLAIM_CODE_ALREADY_SENT" });
  await options.plexTv.ping();
  heedInterrupt(context);
  const answered = await exchange(context, state, journal, code, options);
  const park = (credentials: NewCredentials, accepted: boolean) =>
    parkCredentials(state, deviceId, { credentials, run: journal.id, accepted });
  await keep(() => park(answered, false));
  await told(context, () => journal.noteDone({ kind: "exchanged" }));
  const credentials = await named(answered, deviceId, options.plexTv);
  await told(context, () => markExchanged(context, state, code, options.settings, credentials));
  note(context, { code: "CREDENTIALS_OBTAINED", username: credentials.username });
  await demandAccount(context, state, credentials, options);
  await told(context, () => park(credentials, true));
  return credentials;
}

/** The credentials are safe: that something about them cannot be written down is told, and stops nothing. */
async function told(context: PathContext, task: () => Promise<void>): Promise<void> {
  try {
    await task();
  } catch (error) {
    note(context, { code: "ROLL_BACK_PROBLEM", problem: asProblem(error) });
  }
}

/**
 * An answer may hold the token alone: then plex.tv is asked whose it is. Not knowing is no reason to throw a
 * working sign-in away; the owner is then asked about, as for any other that is not the old one.
 */
async function named(credentials: NewCredentials, deviceId: string, plexTv: PlexTv): Promise<NewCredentials> {
  if (credentials.username !== "" || credentials.mail !== "") return credentials;
  const answer = await plexTv.user(credentials.token, deviceId);
  if (answer.kind !== "valid") return credentials;
  return { ...credentials, username: answer.username, mail: answer.email };
}

/** After these the code is as good as before: it did not leave, or plex.tv said that it did nothing with it. */
const NOT_SENT: ReadonlySet<ProblemCode> = new Set([
  "PLEXTV_UNREACHABLE",
  "PLEXTV_RATE_LIMITED",
  "INTERRUPTED",
]);

/** After these nobody knows whether plex.tv has issued a new sign-in: the code may be spent. */
const MAYBE_SPENT: ReadonlySet<ProblemCode> = new Set(["EXCHANGE_OUTCOME_UNKNOWN", "PLEXTV_NONSENSE"]);

/**
 * Past the point of no return one failure must not lose the only working credentials: it is tried twice.
 * Throws `CREDENTIALS_NOT_KEPT` when the state directory takes nothing any more.
 */
async function keep(task: () => Promise<void>): Promise<void> {
  try {
    await task();
  } catch {
    try {
      await task();
    } catch (cause) {
      throw new ProblemError({ code: "CREDENTIALS_NOT_KEPT" }, { cause });
    }
  }
}

/** Sends the code, once; it is marked as sent before it leaves. */
async function exchange(
  context: PathContext,
  state: StateDirectory,
  journal: Journal,
  code: Secret,
  options: ObtainOptions,
): Promise<NewCredentials> {
  const deviceId = options.settings.identity.processedMachineIdentifier;
  const mark = (what: "sending" | "not-sent") =>
    noteExchange(state, { at: context.world.clock.now(), deviceId, code, what });
  try {
    return await options.plexTv.exchange(code, deviceId, {
      onSending: async () => {
        await journal.note({ kind: "sending-code" });
        await mark("sending");
      },
      onWaiting: (seconds) => note(context, { code: "WAITING_FOR_PLEXTV", seconds }),
      signal: context.interrupt,
    });
  } catch (error) {
    const problem = asProblem(error);
    if (NOT_SENT.has(problem.code)) await mark("not-sent");
    if (!MAYBE_SPENT.has(problem.code)) await journal.note({ kind: "not-exchanged" });
    throw error;
  }
}

/** Writes down which sign-in the exchange has killed, for what is said of backups. */
async function markExchanged(
  context: PathContext,
  state: StateDirectory,
  code: Secret,
  settings: Settings,
  credentials: NewCredentials,
): Promise<void> {
  const { token } = settings.credentials;
  const other = changesOwner(settings, credentials);
  await noteExchange(state, {
    at: context.world.clock.now(),
    deviceId: settings.identity.processedMachineIdentifier,
    code,
    what: other ? "exchanged-other" : "exchanged",
    issued: credentials.token,
    ...(token === undefined || other ? {} : { replaced: token }),
  });
}

/**
 * The right account, as far as anybody said which one that is. Throws `WRONG_ACCOUNT` (or `INTERRUPTED` at the
 * question). Credentials of another account than the server's are signed out again and forgotten: the server's own
 * sign-in lives on. Those of the server's own account stay parked: they have replaced its sign-in, and are the
 * only ones that work.
 */
async function demandAccount(
  context: PathContext,
  state: StateDirectory,
  credentials: NewCredentials,
  options: ObtainOptions,
): Promise<void> {
  const { expectAccount, settings } = options;
  const before = settings.credentials.username ?? settings.credentials.mail ?? "";
  const changes = changesOwner(settings, credentials);
  if (expectAccount !== undefined) {
    if (isAccount(credentials, expectAccount)) return;
    if (!changes) throw wrongAccount(expectAccount, { signedOut: false, kept: true });
    throw wrongAccount(expectAccount, { signedOut: await forget(state, credentials, options), kept: false });
  }
  if (!changes) return;
  note(context, { code: "OWNER_CHANGES", from: before, to: credentials.username });
  let accepted = false;
  try {
    accepted = await options.acceptOwner(before, credentials.username);
  } catch (error) {
    await forget(state, credentials, options);
    throw error;
  }
  if (accepted) return;
  throw wrongAccount(before, { signedOut: await forget(state, credentials, options), kept: false });
}

/** Whether plex.tv let the unwanted device be signed out; the credentials are forgotten in any case. */
async function forget(
  state: StateDirectory,
  credentials: NewCredentials,
  { settings, plexTv }: Pick<ObtainOptions, "settings" | "plexTv">,
): Promise<boolean> {
  const deviceId = settings.identity.processedMachineIdentifier;
  const signedOut = await plexTv.signOut(credentials.token, deviceId);
  await removeParked(state, deviceId);
  return signedOut;
}

function wrongAccount(expected: string, is: { signedOut: boolean; kept: boolean }): ProblemError {
  const yesOrNo = (fact: boolean) => (fact ? "yes" : "no");
  const facts = { signedOut: yesOrNo(is.signedOut), kept: yesOrNo(is.kept) } as const;
  return new ProblemError({ code: "WRONG_ACCOUNT", expected, ...facts });
}

/** Whether the new credentials belong to another account than the one in the settings. */
export function changesOwner(settings: Settings, credentials: NewCredentials): boolean {
  const { username, mail } = settings.credentials;
  const known = [username, mail].filter((name) => name !== undefined && name !== "");
  return known.length > 0 && !known.some((name) => name !== undefined && isAccount(credentials, name));
}

function isAccount(credentials: NewCredentials, name: string): boolean {
  const wanted = name.toLowerCase();
  return wanted === credentials.username.toLowerCase() || wanted === credentials.mail.toLowerCase();
}

/**
 * Credentials that an earlier run obtained and could not write. Dead ones (plex.tv says so) are removed, and so are
 * those of another account that nobody agreed to. Null when there are none that may still work, when the settings
 * hold them already, or when they are not of the account that is expected (then they stay parked).
 *
 * `readOnly`: for a dry run; nothing is removed or signed out.
 */
export async function obtainFromParked(
  context: PathContext,
  state: StateDirectory,
  options: Pick<ObtainOptions, "settings" | "plexTv" | "expectAccount"> & { readonly readOnly: boolean },
): Promise<NewCredentials | null> {
  const { settings, plexTv, expectAccount, readOnly } = options;
  const deviceId = settings.identity.processedMachineIdentifier;
  const parked = await parkedCredentials(state, deviceId);
  if (parked === null) return null;
  const { credentials, accepted } = parked;
  if (settings.credentials.token?.reveal() === credentials.token.reveal()) {
    if (!readOnly) await removeParked(state, deviceId);
    return null;
  }
  if (expectAccount !== undefined && !isAccount(credentials, expectAccount)) return null;
  if (!accepted && expectAccount === undefined && changesOwner(settings, credentials)) {
    if (!readOnly) await forget(state, credentials, options);
    return null;
  }
  const verdict = await plexTv.user(credentials.token, deviceId);
  if (verdict.kind === "revoked") {
    if (!readOnly) await removeParked(state, deviceId);
    note(context, { code: "PARKED_CREDENTIALS_DEAD" });
    return null;
  }
  note(context, { code: "CREDENTIALS_FROM_PARKED", username: credentials.username });
  return credentials;
}
