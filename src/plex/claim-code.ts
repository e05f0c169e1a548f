import { type ClaimCodeSource, ProblemError } from "../model/problem.ts";
import { Secret } from "../model/secret.ts";

/**
 * The claim code in what a person pasted, typed or put in a file: white space, a byte order mark and quotation
 * marks around it are taken off. Throws `CLAIM_CODE_MALFORMED`, which never carries what was given.
 *
 * Shape: `claim-` and (2026) 20 characters; the number is nowhere promised, so ten or more are taken.
 * Source: plex.tv/claim, facts of the images that consume it.
 */
export function parseClaimCode(text: string, source: ClaimCodeSource): Secret {
  const code = text.replace(WRAPPING_BEFORE, "").replace(WRAPPING_AFTER, "");
  if (!CLAIM_CODE.test(code)) throw new ProblemError({ code: "CLAIM_CODE_MALFORMED", source });
  return new Secret(code);
}

const CLAIM_CODE = /^claim-[A-Za-z0-9_-]{10,250}$/;
const WRAPPING_BEFORE = /^[\s\uFEFF"'`“”‘’«»]+/u;
const WRAPPING_AFTER = /[\s\uFEFF\0"'`“”‘’«»]+$/u;
