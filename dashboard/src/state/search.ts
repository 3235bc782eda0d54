/** What a link carries: the range, the filters, and how a view is set. Pure: a URL's words to a value and back. */
import { FILTERS } from "../api/columns";
import { type Condition, conditionIn, format, keyed } from "./conditions";
import { DEFAULT_RANGE, formatRange, isBucket, parseRange, type Range } from "./range";

export type FilterName = (typeof FILTERS)[number]["name"];
/** The filters of the API that people use, in the order in which chips stand. */
export const FILTER_NAMES: readonly FilterName[] = FILTERS.map(({ name }) => name);
/** As the API takes them: one word for each column with a parameter of its own, all others as they are written. */
export type Filters = Readonly<Partial<Record<FilterName, string>>> & { readonly where?: readonly string[] };

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
  /** A second dimension beside `by`. */
  readonly and?: string;
  /** Values on a logarithmic scale. */
  readonly log?: boolean;
  readonly as?: string;
  readonly compare?: boolean;
  /** How long the buckets of charts over time are; else it follows from the range. */
  readonly bucket?: string;
  /** The page is a screen on a wall: numbers, and nothing to press. */
  readonly kiosk?: boolean;
  /** Which session is shown, by its session_id, and what the list of them is sorted by. */
  readonly session?: string;
  readonly sort?: string;
  /** What the table of requests is sorted by: a column, with - in front descending. */
  readonly order?: string;
  /** Columns of the table of requests, separated by commas. */
  readonly columns?: string;
}

const TEXTS = ["tz", "id", "metric", "by", "and", "as", "bucket", "columns", "session", "sort", "order"] as const;
const FLAGS = ["compare", "kiosk", "log"] as const;
const LONGEST = 512; // what the API takes as one value, and more than any name that it stores

function text(value: unknown): string | undefined {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return typeof value === "string" && value !== "" && value.length <= LONGEST ? value : undefined;
}

/** Whatever stands in a URL, as a `Search`: unknown keys and impossible values are dropped, never an error. */
export function parseSearch(raw: Record<string, unknown>): Search {
  const found: Record<string, string | boolean> = {};
  for (const key of TEXTS) {
    const value = text(raw[key]);
    if (value !== undefined) found[key] = value;
  }
  for (const condition of conditionsIn(raw)) {
    const [key, value] = keyed(condition);
    found[key] = value;
  }
  const range = parseRange(text(raw["range"]) ?? "");
  if (range !== null && formatRange(range) !== formatRange(DEFAULT_RANGE)) found["range"] = formatRange(range);
  if (found["tz"] !== undefined && !isZone(String(found["tz"]))) delete found["tz"];
  for (const key of FLAGS) if ([true, "true", 1, "1"].includes(raw[key] as string)) found[key] = true;
  if (!isBucket(found["bucket"] as string | undefined)) delete found["bucket"];
  return found as Search;
}

export function rangeOf(search: Search): Range {
  return parseRange(search.range ?? "") ?? DEFAULT_RANGE;
}

/** Whatever of a link is a condition, in the order of chips; and `where`, as the API takes it. */
function conditionsIn(raw: Readonly<Record<string, unknown>>): readonly Condition[] {
  const found = new Map<string, Condition>();
  for (const [key, given] of Object.entries(raw)) {
    for (const each of Array.isArray(given) ? (given as unknown[]) : [given]) {
      const value = typeof each === "number" || typeof each === "boolean" ? String(each) : each;
      const condition = typeof value !== "string" ? null : key === "where" ? conditionIn(value, "") : conditionIn(key, value);
      if (condition !== null) found.set(keyed(condition)[0], condition);
    }
  }
  const place = ({ name }: Condition) => (FILTER_NAMES as readonly string[]).indexOf(name) >>> 0; // those without a parameter last
  return [...found.values()].sort((a, b) => place(a) - place(b));
}

export function conditionsOf(search: Search): readonly Condition[] {
  return conditionsIn(search as Readonly<Record<string, unknown>>);
}

export function filtersOf(search: Search): Filters {
  const found: Record<string, string> = {};
  const where: string[] = [];
  for (const condition of conditionsOf(search)) {
    const [key, value] = keyed(condition);
    if (FILTER_NAMES.includes(key as FilterName)) found[key] = value;
    else where.push(format(condition));
  }
  return where.length === 0 ? found : { ...found, where };
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
