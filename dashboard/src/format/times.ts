/** Moments and axes in the zone and language that the page has. */

type Style = "moment" | "row" | "near" | "clock" | "day";

const STYLES: Record<Style, Intl.DateTimeFormatOptions> = {
  moment: { dateStyle: "medium", timeStyle: "medium" },
  row: { month: "short", day: "numeric", hour: "numeric", minute: "2-digit", second: "2-digit" },
  near: { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" },
  clock: { hour: "numeric", minute: "2-digit" },
  day: { month: "short", day: "numeric" },
};
const cache = new Map<string, Intl.DateTimeFormat>();

function formatter(style: Style, locale: string, zone: string): Intl.DateTimeFormat {
  const key = `${style} ${locale} ${zone}`;
  let found = cache.get(key);
  if (found === undefined) cache.set(key, (found = new Intl.DateTimeFormat(locale, { ...STYLES[style], timeZone: zone })));
  return found;
}

export function moment(at: string | number, locale: string, zone: string): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? String(at) : formatter("moment", locale, zone).format(date);
}

/** The time of day, to the minute. */
export function clock(ms: number, locale: string, zone: string): string {
  return formatter("clock", locale, zone).format(new Date(ms));
}

/** A moment in a table of near ones: without its year. */
export function rowMoment(at: string, locale: string, zone: string): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? at : formatter("row", locale, zone).format(date);
}

/** The same to the minute, for what lasts longer. */
export const minuteOf = (at: string, locale: string, zone: string): string => formatter("near", locale, zone).format(new Date(at));

const DAYS: ReadonlySet<string> = new Set(["day", "week", "month"]);

/** When a bucket begins, as far as its length needs it. */
export function dayOrMoment(ms: number, bucket: string, locale: string, zone: string): string {
  return DAYS.has(bucket) ? new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeZone: zone }).format(ms) : moment(ms, locale, zone);
}

/** From one moment to another, said as briefly as the language can: what both have in common once. */
export function span(start: string, end: string, locale: string, zone: string): string {
  return formatter("near", locale, zone).formatRange(new Date(start), new Date(end));
}

/** A label of a time axis: the clock, and at midnight the day. */
export function tick(ms: number, locale: string, zone: string): string {
  const date = new Date(ms);
  const midnight = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: zone }).format(date) === "00:00";
  return formatter(midnight ? "day" : "clock", locale, zone).format(date);
}

/** `datetime-local` has no zone: its text read as the wall clock of `zone`. `null`: no such text. */
export function fromWall(text: string, zone: string): string | null {
  const naive = Date.parse(`${text}Z`);
  if (Number.isNaN(naive)) return null;
  // the offset at the moment itself; twice, since the first guess may lie on the other side of a change
  let at = naive - offsetMs(naive, zone);
  at = naive - offsetMs(at, zone);
  return new Date(at).toISOString();
}

export function toWall(at: string, zone: string): string {
  const ms = Date.parse(at);
  return new Date(ms + offsetMs(ms, zone)).toISOString().slice(0, 16);
}

/** The same moment in ISO 8601 on the clocks of `zone`, with how far they are from UTC: for files. */
export function isoIn(at: string, zone: string): string {
  const ms = Date.parse(at);
  if (Number.isNaN(ms)) return at;
  const offset = offsetMs(ms, zone);
  if (offset === 0) return at;
  const minutes = Math.abs(Math.round(offset / 60_000));
  const two = (value: number) => String(value).padStart(2, "0");
  const wall = new Date(ms + offset).toISOString().replace(/(\.000)?Z$/, "");
  return `${wall}${offset < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/** The date on the calendar of `zone`, as `2026-11-29`. */
export function dateIn(ms: number, zone: string): string {
  return new Date(ms + offsetMs(ms, zone)).toISOString().slice(0, 10);
}

function offsetMs(ms: number, zone: string): number {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  }).formatToParts(new Date(ms));
  const part = (type: string) => Number(parts.find((each) => each.type === type)?.value ?? 0);
  return Date.UTC(part("year"), part("month") - 1, part("day"), part("hour"), part("minute"), part("second")) - Math.floor(ms / 1000) * 1000;
}
