/**
 * The candidate that was probably meant, or an empty text where none is close: at most one slip in three
 * characters, counting a character too many, missing or wrong, and two neighbours swapped.
 */
export function nearest(given: string, candidates: readonly string[]): string {
  let best = "";
  let fewest = Math.max(1, Math.floor(given.length / 3)) + 1;
  for (const candidate of candidates) {
    const slips = slipsBetween(given.toLowerCase(), candidate);
    if (slips < fewest) {
      best = candidate;
      fewest = slips;
    }
  }
  return best;
}

/** How many slips lie between two words: optimal string alignment distance (Damerau and Levenshtein), in three rows. */
export function slipsBetween(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      let slips = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        slips = Math.min(slips, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(slips);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
