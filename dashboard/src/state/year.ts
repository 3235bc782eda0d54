/** A year as a calendar: weeks that begin where the reader's do, months over them, and a level of colour per day. Pure. */
import { daysFrom, type Weekday } from "./week";

const DAY_MS = 86_400_000;
const WEEKS = 53;
export const LEVELS = 4;

/** Days are `2026-11-29`, on no clock. */
const text = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
const isoDay = (ms: number): number => ((new Date(ms).getUTCDay() + 6) % 7) + 1;

export const dayAfter = (day: string, many = 1): string => text(Date.parse(day) + many * DAY_MS);

/** The 53 weeks up to `today`, each of seven days; those after it are `null`. */
export function weeksUpTo(today: string, start: Weekday): readonly (readonly (string | null)[])[] {
  const end = Date.parse(today);
  const order = daysFrom(start);
  const first = end - (order.indexOf(isoDay(end)) + (WEEKS - 1) * 7) * DAY_MS;
  return Array.from({ length: WEEKS }, (_, week) =>
    order.map((_, day) => {
      const ms = first + (week * 7 + day) * DAY_MS;
      return ms > end ? null : text(ms);
    }),
  );
}

/** Columns over which a month is written: where its first day lies, unless the next one would run into it. */
export function monthsOf(weeks: readonly (readonly (string | null)[])[]): readonly { readonly column: number; readonly day: string }[] {
  const found = weeks.flatMap((week, column) => {
    const day = column === 0 ? week[0] : week.find((each) => each?.endsWith("-01"));
    return day === undefined || day === null ? [] : [{ column, day }];
  });
  return found.filter(({ column }, index) => (found[index + 1]?.column ?? Infinity) - column >= 3 && weeks.length - column >= 2);
}

/** From 0, nothing, to 4: by quarters of the days that have something, so that one wild day does not pale all others. */
export function levelsOf(values: readonly (number | null | undefined)[]): (value: number | null | undefined) => number {
  const known = values.filter((value): value is number => typeof value === "number" && value > 0).sort((a, b) => a - b);
  const edges = Array.from({ length: LEVELS - 1 }, (_, index) => known[Math.floor(((index + 1) * known.length) / LEVELS)] ?? Infinity);
  return (value) => (typeof value !== "number" || value <= 0 ? 0 : 1 + edges.filter((edge) => value >= edge).length);
}

const STEPS: Readonly<Record<string, number>> = { ArrowUp: -1, ArrowDown: 1, ArrowLeft: -7, ArrowRight: 7, PageUp: -28, PageDown: 28 };

/** Where a key leads from a day; `null`: nowhere. Within the calendar. */
export function movedTo(key: string, at: number, days: number): number | null {
  if (key === "Home") return 0;
  if (key === "End") return days - 1;
  const step = STEPS[key];
  return step === undefined ? null : Math.min(days - 1, Math.max(0, at + step));
}
