/** A point of the calendar in UTC; `month` counts from 1. */
export interface CalendarTime {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly millisecond: number;
}

/** Milliseconds since 1970 of a calendar time in UTC. */
export function instantOf(time: CalendarTime): number {
  // biome-ignore lint/style/noRestrictedGlobals: arithmetic only; no clock is asked
  return Date.UTC(time.year, time.month - 1, time.day, time.hour, time.minute, time.second, time.millisecond);
}

/** 1 to 12 for an English month in three letters, whatever their case; null for anything else. */
export function monthNumber(name: string): number | null {
  const index = MONTHS.indexOf(name.toLowerCase());
  return index === -1 ? null : index + 1;
}

/**
 * Milliseconds since 1970 of an HTTP date (`Sun, 06 Nov 1994 08:49:37 GMT`, RFC 9110 §5.6.7; the two obsolete
 * forms are not read); null when it is none.
 */
export function httpDate(text: string): number | null {
  const match = HTTP_DATE.exec(text.trim());
  const month = monthNumber(match?.[2] ?? "");
  if (match === null || month === null) return null;
  const [, day, , year, hour, minute, second] = match;
  return instantOf({
    year: Number(year),
    month,
    day: Number(day),
    hour: Number(hour),
    minute: Number(minute),
    second: Number(second),
    millisecond: 0,
  });
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const HTTP_DATE = /^[A-Za-z]{3}, (\d{2}) ([A-Za-z]{3}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT$/;
