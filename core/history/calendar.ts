// Days and times of day (UTC) by arithmetic, because core has no clock and asks none what day it is. Days are
// counted from 0000-03-01, so that a leap day is the last of its year and 400 years are one period.

/** Milliseconds of a day. */
export const DAY_MS = 24 * 3_600_000;

const SECOND_MS = 1_000;
/** From 0000-03-01 to 1970-01-01. */
const EPOCH_DAYS = 719_468;
const DAYS_OF_400_YEARS = 146_097;

/** The day of a time in unix milliseconds, as "2026-11-30"; years from 0 to 9999. */
export function dayOf(atMs: number): string {
  const days = Math.floor(atMs / DAY_MS) + EPOCH_DAYS;
  const period = Math.floor(days / DAYS_OF_400_YEARS);
  const day = days - period * DAYS_OF_400_YEARS;
  const leaps = Math.floor(day / 1_460) - Math.floor(day / 36_524) + Math.floor(day / 146_096);
  const year = Math.floor((day - leaps) / 365);
  const dayOfYear = day - daysBefore(year);
  // Months from March have 31, 30, 31, 30, 31 days again and again: 153 each five.
  const month = Math.floor((5 * dayOfYear + 2) / 153);
  const dayOfMonth = dayOfYear - Math.floor((153 * month + 2) / 5) + 1;
  const calendarYear = year + period * 400 + (month >= 10 ? 1 : 0);
  const calendarMonth = month >= 10 ? month - 9 : month + 3;
  return `${padded(calendarYear, 4)}-${padded(calendarMonth, 2)}-${padded(dayOfMonth, 2)}`;
}

/** When a day begins, unix milliseconds; NaN where the text is none. */
export function dayStartMs(day: string): number {
  const [, year = "", month = "", dayOfMonth = ""] = /^(\d{4})-(\d\d)-(\d\d)$/.exec(day) ?? [];
  if (year === "") return Number.NaN;
  const fromMarch = (Number(month) + 9) % 12;
  const years = Number(year) - (fromMarch >= 10 ? 1 : 0);
  const period = Math.floor(years / 400);
  const dayOfYear = Math.floor((153 * fromMarch + 2) / 5) + Number(dayOfMonth) - 1;
  const days = daysBefore(years - period * 400) + dayOfYear;
  const startMs = (period * DAYS_OF_400_YEARS + days - EPOCH_DAYS) * DAY_MS;
  return dayOf(startMs) === day ? startMs : Number.NaN;
}

/** The time of day in whole seconds, as "235959". */
export function timeOfDay(atMs: number): string {
  const seconds = Math.floor((atMs - Math.floor(atMs / DAY_MS) * DAY_MS) / SECOND_MS);
  const parts = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part) => padded(part, 2)).join("");
}

/** Milliseconds since midnight of a time of day. */
export function sinceMidnightMs(timeOfDayDigits: string): number {
  const [hours = 0, minutes = 0, seconds = 0] = (timeOfDayDigits.match(/\d\d/g) ?? []).map(Number);
  return ((hours * 60 + minutes) * 60 + seconds) * SECOND_MS;
}

/** Days of the years of a period before this one. */
function daysBefore(year: number): number {
  return 365 * year + Math.floor(year / 4) - Math.floor(year / 100);
}

function padded(value: number, digits: number): string {
  return String(value).padStart(digits, "0");
}
