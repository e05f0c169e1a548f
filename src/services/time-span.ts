/**
 * Milliseconds of a time span as `systemctl show` prints one (`1min 30s`, `1h 2min 3.500000s`, `999us`);
 * `Infinity` for `infinity`, null for anything else. Units: systemd.time(7).
 */
export function timeSpanMs(text: string): number | null {
  const trimmed = text.trim();
  if (trimmed === "infinity") return Number.POSITIVE_INFINITY;
  if (trimmed === "") return null;
  let total = 0;
  for (const part of trimmed.split(/\s+/u)) {
    const [, amount, unit] = /^(\d+(?:\.\d+)?)([a-zµμ]*)$/u.exec(part) ?? [];
    const factor = unit === undefined ? undefined : UNIT_MS.get(unit);
    if (amount === undefined || factor === undefined) return null;
    total += Number(amount) * factor;
  }
  return total;
}

const DAY_MS = 86_400_000;
const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ["us", 0.001],
  ["µs", 0.001],
  ["μs", 0.001],
  ["ms", 1],
  ["", 1000],
  ["s", 1000],
  ["min", 60_000],
  ["h", 3_600_000],
  ["d", DAY_MS],
  ["w", 7 * DAY_MS],
  ["month", 30.4375 * DAY_MS],
  ["y", 365.25 * DAY_MS],
]);
