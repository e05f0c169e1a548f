import { markedText } from "../model/marked-text.ts";
import { type ClaimCodeSource, ProblemError } from "../model/problem.ts";
import type { Secret } from "../model/secret.ts";
import { parseClaimCode } from "../plex/claim-code.ts";
import { SystemError } from "../world/world.ts";
import type { ChangeOptions, CredentialOptions } from "./invocation.ts";
import { type Session, say } from "./session.ts";

/** A claim code is 26 characters; a file with one has no reason to be longer than this. */
const CAP_BYTES = 4096;

/** Whether a way to get new credentials was named, without reading it yet. */
export function wantsClaimCode(options: CredentialOptions): boolean {
  return options.claimCodeFile !== undefined || options.claimCodeInEnvironment !== undefined;
}

/**
 * The claim code: from the file or standard input that was named, else from `PLEX_CLAIM`, else, where a person
 * is there to ask, from a hidden prompt (an empty answer means: go on without). Null when there is none.
 *
 * Throws `CLAIM_CODE_MALFORMED`, `CLAIM_CODE_UNREADABLE`; no part of what was read is in them.
 */
export async function claimCode(
  session: Session,
  options: CredentialOptions & ChangeOptions,
): Promise<Secret | null> {
  const { claimCodeFile, claimCodeInEnvironment } = options;
  if (claimCodeFile === "-") return parse(await session.readStandardInput(CAP_BYTES), "stdin");
  if (claimCodeFile !== undefined) return parse(await fromFile(session, claimCodeFile), "file");
  if (claimCodeInEnvironment !== undefined) {
    say(session, { code: "CLAIM_CODE_FROM_ENVIRONMENT" });
    return parse(claimCodeInEnvironment.reveal(), "environment");
  }
  if (options.yes || options.dryRun || !session.questions.interactive) return null;
  const typed = await session.questions.hidden("prompt.claim-code");
  return typed === null ? null : parse(typed.reveal(), "prompt");
}

function parse(text: string, source: ClaimCodeSource): Secret {
  return parseClaimCode(text, source);
}

async function fromFile(session: Session, path: string): Promise<string> {
  const { files } = session.world;
  try {
    const { kind, mode } = await files.stat(path);
    if (kind === "file" && (mode & 0o077) !== 0) {
      say(session, { code: "CLAIM_CODE_FILE_READABLE_BY_OTHERS", path });
    }
    const text = markedText();
    return text.add(await files.read(path, CAP_BYTES)) + text.end();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new ProblemError({ code: "CLAIM_CODE_UNREADABLE", path, reason: error.code }, { cause: error });
  }
}
