import { ProblemError } from "../../src/model/problem.ts";
import { scanRegistryText } from "../../src/stores/registry-file-scan.ts";
import { decodeRegistryFile, type Units, unitsOf } from "../../src/stores/registry-file-text.ts";

/** How often the scanner looked at a unit of the text, units that it took as a piece counted one by one. */
export interface Steps {
  readonly steps: number;
  readonly units: number;
}

/** At most so many looks at one unit, and so many at the end of the text. */
export const STEPS_PER_UNIT = 8;

/** Reads a file with a count of steps, however the reading ends; null when it has no text to scan. */
export function countSteps(bytes: Uint8Array): Steps | null {
  let steps = 0;
  try {
    const { text, form, bodyStart } = decodeRegistryFile(bytes, "");
    const units = unitsOf(text);
    const counted: Units = {
      at: (index) => {
        steps += 1;
        return units.at(index);
      },
      slice: (start, end) => {
        steps += end - start;
        return units.slice(start, end);
      },
    };
    try {
      scanRegistryText(counted, form, bodyStart, "");
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
    }
    return { steps, units: text.length };
  } catch (error) {
    if (error instanceof ProblemError) return null;
    throw error;
  }
}
