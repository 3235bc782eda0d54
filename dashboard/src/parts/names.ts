/** What a group of an answer is called, and the filter that shows it alone. */
import type { Row } from "../api/query";
import type { Speech } from "../i18n";
import type { Key } from "../i18n/words";
import { written } from "../state/conditions";
import { type FilterName, FILTER_NAMES, type Filters } from "../state/search";

/** Dimensions whose values are words of the program's own, such as `upstream_error`. */
const OUR_WORDS: ReadonlySet<string> = new Set(["outcome", "error_category", "error_type", "error_phase", "finish_reason", "cache_miss_reason"]);
const A_MONDAY = Date.UTC(2024, 0, 1);
const DAY_MS = 86_400_000;

/** 1, Monday, to 7 in the reader's language. */
export function weekdayName(day: number, locale: string, length: "long" | "short" | "narrow" = "long"): string {
  return new Intl.DateTimeFormat(locale, { weekday: length, timeZone: "UTC" }).format(A_MONDAY + (day - 1) * DAY_MS);
}

/** In the reader's language where the page has a word for it; another value of the program's own is its name, in words. */
export function termOf(dimension: string, value: string, t: Speech["t"]): string {
  if (!OUR_WORDS.has(dimension)) return value;
  return (t(`term.${dimension}.${value}` as Key) as string | undefined) ?? value.replaceAll("_", " ");
}

/** One value of a dimension as people read it. */
export function valueName(value: string | number | boolean | null | undefined, dimension: string, t: Speech["t"], locale?: string): string {
  if (value === null || value === undefined) return t("table.none");
  if (dimension === "streaming") return t(value === true || value === 1 || value === "true" ? "explore.streamed" : "explore.whole");
  if (dimension === "hour_of_day") return `${String(value).padStart(2, "0")}:00`;
  if (dimension === "weekday" && locale !== undefined) return weekdayName(Number(value), locale);
  return termOf(dimension, String(value), t);
}

/** The value itself; or that there is none; or that many groups stand together in this one row. */
export function nameOf(row: Row, dimension: string, t: Speech["t"], locale?: string): string {
  return row.merged > 0 ? t("table.others", { count: row.merged }) : valueName(row.key[dimension], dimension, t, locale);
}

/** As `nameOf`, of groups by several dimensions. */
export function namesOf(row: Row, dimensions: readonly string[], t: Speech["t"], locale: string): string {
  return row.merged > 0 ? t("table.others", { count: row.merged }) : dimensions.map((dimension) => valueName(row.key[dimension], dimension, t, locale)).join(" · ");
}

const TAG = "tag:";

/** Words of a link that select the records of a value; `null`: no filter does. `set`: of the tags that are selected already. */
export function filterOf(dimension: string, value: string | number | boolean | null | undefined, set?: string): Filters | null {
  if (value === null || value === undefined) return null;
  if (!dimension.startsWith(TAG)) return FILTER_NAMES.includes(dimension as FilterName) ? { [dimension]: written(String(value)) } : null;
  const tag = `${dimension.slice(TAG.length)}=${value}`;
  const others = (set ?? "").split(",").filter((each) => each !== "" && each !== tag);
  return { tag: [...others, tag].join(",") };
}
