import { slipsBetween } from "./nearest.ts";

/**
 * Whether the arguments carry a claim code, or try to: an option or a `name=value` named like one, or anything
 * that looks like a code. Arguments can be read by every account of a machine (`/proc/PID/cmdline`) and stay in
 * the shell's history, so a code in one is refused wherever it stands.
 */
export function hasCodeInArgument(argv: readonly string[]): boolean {
  return argv.some((argument) => isNamedLikeCode(argument) || looksLikeCode(valueIn(argument)));
}

/** Whether a text is, or has in it, what plex.tv gives out as a claim code: `claim-` and 20 characters. */
export function looksLikeCode(text: string): boolean {
  // A cut or mistyped code is one too; a file with such a name can be named with its folder.
  if (/^["'\s]*claim[-–—_][^/\\.\s]*["'\s]*$/i.test(text)) return true;
  return [...text.matchAll(/claim[-–—_]([a-z0-9_-]+)/gi)].some((match) => {
    const [whole, tail = ""] = match;
    const before = text[match.index - 1] ?? "";
    const following = text[match.index + whole.length] ?? "";
    if (/[/\\]/.test(before) || /[./\\]/.test(following)) return isCodeInPath(tail);
    return tail.length >= (/[\p{L}\p{N}._-]/u.test(before) ? CODE_LENGTH : CUT_CODE_LENGTH);
  });
}

const CODE_LENGTH = 20;
const CUT_CODE_LENGTH = 8;
/** Dashes that word processors and web pages put in place of `--`. */
const DASHES = /^[-\u2010-\u2015\u2212]+/;
const FILE_OPTION = "claim-code-file";

/** Folders have telling names (`claim-server-backups`), so here it must look drawn at random. */
function isCodeInPath(tail: string): boolean {
  return tail.length === CODE_LENGTH && /[0-9A-Z]/.test(tail);
}

function isNamedLikeCode(argument: string): boolean {
  const [name = ""] = argument.replace(DASHES, "").split(/[=:]/, 1);
  const letters = name.toLowerCase().replace(/[^a-z]/g, "");
  if (DASHES.test(argument)) {
    // A slip in the option that names a file is an unknown option with a suggestion.
    return slipsBetween(name.toLowerCase(), FILE_OPTION) > 3 && /claim|token|^code$/.test(letters);
  }
  return name !== argument && /^(?:plex|auth|x)*(?:claim|token|code)+$/.test(letters);
}

function valueIn(argument: string): string {
  return /^-[^=]*=(.*)$/s.exec(argument)?.[1] ?? argument;
}
