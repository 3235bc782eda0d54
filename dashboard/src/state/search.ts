/** What a link carries: the range, the filters, and how a view is set. Pure: a URL's words to a value and back. */
import { FILTERS } from "../api/columns";
import { DEFAULT_RANGE, formatRange, parseRange, type Range } from "./range";

export type FilterName = (typeof FILTERS)[number]["name"];
/** The filters of the API that people use, in the order in which chips stand. */
export const FILTER_NAMES: readonly FilterName[] = FILTERS.map(({ name }) => name);
export type Filters = Readonly<Partial<Record<FilterName, string>>>;

export const THEMES = ["system", "light", "dark", "terminal"] as const;
export type Theme = (typeof THEMES)[number];

/** Keys are short where they stand in every link. What is at its default is left out of the URL. */
export interface Search extends Partial<Record<FilterName, string>> {
  readonly range?: string;
  readonly tz?: string;
  /** Which record is shown beside the list, by its request_id. */
  readonly id?: string;
  /** Explore: metric, dimension, kind of drawing, comparison. */
  readonly metric?: string;
  readonly by?: string;
  readonly as?: string;
  readonly compare?: boolean;
  /** Columns of the table of requests, separated by commas. */
  readonly columns?: string;
}

const TEXTS = ["tz", "id", "metric", "by", "as", "columns"] as const;
const LONGEST = 512; // what the API takes as one value, and more than any name that it stores

function text(value: unknown): string | undefined {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return typeof value === "string" && value !== "" && value.length <= LONGEST ? value : undefined;
}

/** Whatever stands in a URL, as a `Search`: unknown keys and impossible values are dropped, never an error. */
export function parseSearch(raw: Record<string, unknown>): Search {
  const found: Record<string, string | boolean> = {};
  for (const key of [...FILTER_NAMES, ...TEXTS]) {
    const value = text(raw[key]);
    if (value !== undefined) found[key] = value;
  }
  const range = parseRange(text(raw["range"]) ?? "");
  if (range !== null && formatRange(range) !== formatRange(DEFAULT_RANGE)) found["range"] = formatRange(range);
  if (found["tz"] !== undefined && !isZone(String(found["tz"]))) delete found["tz"];
  if (raw["compare"] === true || raw["compare"] === "true") found["compare"] = true;
  return found as Search;
}

export function rangeOf(search: Search): Range {
  return parseRange(search.range ?? "") ?? DEFAULT_RANGE;
}

export function filtersOf(search: Search): Filters {
  return Object.fromEntries(FILTER_NAMES.flatMap((name) => (search[name] === undefined ? [] : [[name, search[name]]])));
}

export function isZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

export function localZone(): string {
  const { timeZone } = new Intl.DateTimeFormat().resolvedOptions();
  return isZone(timeZone) ? timeZone : "UTC"; // some systems have a name that the browser itself does not take
}
