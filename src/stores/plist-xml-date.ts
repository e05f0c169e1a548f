/**
 * Seconds since 2001-01-01T00:00:00Z of a date as XML spells it, in the Gregorian calendar for all years; undefined
 * for what is no such date. Apple's reader takes years of any length (CFPropertyList.c, parseDateTag); here they have
 * four digits and begin with 1, which is all that other readers take.
 */
export function secondsOfDate(text: string): number | undefined {
  const match = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z$/.exec(text);
  if (match === null) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number);
  const isDate = year > 0 && month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month);
  if (!isDate || hour > 23 || minute > 59 || second > 59) return undefined;
  return ((daysTo(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
}

/** The same the other way; undefined for what XML cannot say: fractions, and years beyond four digits. */
export function dateOfSeconds(seconds: number): string | undefined {
  if (!Number.isSafeInteger(seconds) || seconds < FIRST || seconds > LAST) return undefined;
  const days = Math.floor(seconds / DAY);
  const inDay = seconds - days * DAY;
  const [year, month, day] = civil(days);
  const time = [Math.floor(inDay / 3600), Math.floor(inDay / 60) % 60, inDay % 60].map((part) =>
    digits(part, 2),
  );
  return `${digits(year, 4)}-${digits(month, 2)}-${digits(day, 2)}T${time.join(":")}Z`;
}

const DAY = 86_400;

/** Of 2001-01-01, counted from 0000-03-01: March begins the year, so that a leap day ends it. */
const EPOCH = 730_791;

const FIRST = daysTo(1, 1, 1) * DAY;
const LAST = daysTo(10_000, 1, 1) * DAY - 1;

function daysIn(year: number, month: number): number {
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  if (month === 2) return leap ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

function daysTo(year: number, month: number, day: number): number {
  const fromMarch = (month + 9) % 12;
  const years = month <= 2 ? year - 1 : year;
  const leapDays = Math.floor(years / 4) - Math.floor(years / 100) + Math.floor(years / 400);
  return years * 365 + leapDays + daysToMonth(fromMarch) + day - 1 - EPOCH;
}

/** Days before a month of a year that begins in March. */
function daysToMonth(fromMarch: number): number {
  return Math.floor((fromMarch * 306 + 5) / 10);
}

function civil(days: number): [year: number, month: number, day: number] {
  // At most one too early: the mean year is as long as the calendar makes it over 400 years.
  let year = Math.floor((days + EPOCH) / 365.2425);
  while (daysTo(year + 1, 1, 1) <= days) year += 1;
  while (daysTo(year, 1, 1) > days) year -= 1;
  let month = 12;
  while (daysTo(year, month, 1) > days) month -= 1;
  return [year, month, days - daysTo(year, month, 1) + 1];
}

function digits(value: number, count: number): string {
  return String(value).padStart(count, "0");
}
