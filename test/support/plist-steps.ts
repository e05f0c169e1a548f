import { ProblemError } from "../../src/model/problem.ts";
import { type PlistBytes, plistBytes } from "../../src/stores/plist-bytes.ts";
import { readPlistFile } from "../../src/stores/plist-reader.ts";
import type { Plist } from "../../src/stores/plist-value.ts";

/** At most so many looks at one byte, and so many more for a file however small. */
const STEPS_PER_BYTE = 12;

export interface CountedReading {
  readonly answer: Plist | ProblemError;
  /** Looks at bytes; those taken or searched through as a piece are counted one by one. */
  readonly steps: number;
  readonly withinBounds: boolean;
}

/** Reads a property list and counts; a crash goes through. */
export function readCounted(bytes: Uint8Array): CountedReading {
  const real = plistBytes(bytes);
  let steps = 0;
  const counted: PlistBytes = {
    length: real.length,
    at: (index) => {
      steps += 1;
      return real.at(index);
    },
    piece: (start, end) => {
      steps += Math.max(0, Math.min(end, real.length) - start);
      return real.piece(start, end);
    },
    find: (text, from) => {
      const found = real.find(text, from);
      steps += (found < 0 ? real.length : found) - from + text.length;
      return found;
    },
  };
  const done = (answer: Plist | ProblemError): CountedReading => ({
    answer,
    steps,
    withinBounds: steps <= STEPS_PER_BYTE * (bytes.length + 32),
  });
  try {
    const { format, root } = readPlistFile(counted, "");
    return done({ format, root });
  } catch (error) {
    if (error instanceof ProblemError) return done(error);
    throw error;
  }
}
