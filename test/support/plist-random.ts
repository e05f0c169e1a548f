import fc from "fast-check";

export type Random = (below: number) => number;

/** Small, fast and the same everywhere (a mixing counter). */
export function randomFrom(start: number): Random {
  let state = start | 0;
  return (below) => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) % below;
  };
}

/** For fast-check: a case is its seed. */
export const anyRandom: fc.Arbitrary<Random> = fc.noShrink(fc.integer()).map(randomFrom);

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[random(from.length)] as T;
}
