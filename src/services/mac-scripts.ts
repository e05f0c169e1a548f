/**
 * The server, for scripts: by its identifier, which holds for a bundle of any name, in any place and language, and of
 * several copies means the one that runs. Homebrew's cask quits it so; ChuckPa's DBRepair does by its name.
 *
 * Whoever names an application that is not installed may open a dialog that asks where it is
 * (macscripter.net/t/launch-by-creator-or-identifier/40008), so nobody runs these before a process of it was seen.
 */
const SERVER = 'application id "com.plexapp.plexmediaserver"';

/**
 * Whether it runs where our events go. Sends none, needs no consent and starts nothing
 * (macosxautomation.com/applescript/features/appobject.html).
 */
export const IS_RUNNING: readonly string[] = [`${SERVER} is running`];

/**
 * The same, after an event to it that changes nothing, whatever it is answered: what counts is whether it may be sent,
 * and macOS asks its person now. Errors are those of a consent that was not given alone. What is told something while
 * it does not run would be started for it, hence the question before.
 *
 * `window` is a word of AppleScript's own: an application that knows no scripts answers with -1708
 * (github.com/sourcegraph/thyme/issues/15).
 */
export const ASK_CONSENT: readonly string[] = [
  `if ${SERVER} is running then`,
  "try",
  `tell ${SERVER} to count every window`,
  "on error number n",
  "if n is in {-1743, -1744, -10004} then error number n",
  "end try",
  "end if",
  `${SERVER} is running`,
];

/** Its answer would come after the last write: that may take longer than any answer is waited for. */
export const QUIT: readonly string[] = [
  `if ${SERVER} is running then`,
  "ignoring application responses",
  `tell ${SERVER} to quit`,
  "end ignoring",
  "end if",
];

/** What a person would type. */
export const STOP = `tell ${SERVER} to quit`;

/** The person, or a profile, said no; or nobody may be asked (AppleEvents.h: `errAEEventNotPermitted` and the next). */
export const NO_CONSENT: ReadonlySet<string> = new Set(["-1743", "-1744"]);

/** Errors of grammar, and of applications that know no scripts (AppleScript Language Guide, error numbers). */
export const NOT_UNDERSTOOD: ReadonlySet<string> = new Set(["-2704", "-2705", "-2740", "-2741"]);
