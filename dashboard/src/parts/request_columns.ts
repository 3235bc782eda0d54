/** Columns of the table of requests: which there are, what they are called, how wide they are, how they are shown. */
import { REQUEST_COLUMNS as COLUMNS } from "../api/columns";
import { withUnit } from "../format/numbers";
import type { Key } from "../i18n/words";

type Show = (value: number | null, locale: string) => string;

export interface RequestColumn {
  readonly name: string;
  /** Without one, the API's own name: people who look for it know that. */
  readonly label?: Key;
  readonly widthPx: number;
  readonly show?: Show;
}

export const REQUEST_COLUMNS: readonly RequestColumn[] = COLUMNS.map(({ unit, ...column }) => (unit === "" ? column : { ...column, show: (value, locale) => withUnit(value, unit, locale) }));
const FIRST = 11;

/** The columns that a link names, in the table's order; the usual ones where it names none. */
export function columnsOf(words: string | undefined): readonly RequestColumn[] {
  const asked = new Set(words?.split(","));
  const found = REQUEST_COLUMNS.filter(({ name }) => asked.has(name));
  return found.length === 0 ? REQUEST_COLUMNS.slice(0, FIRST) : found;
}

/** The same as words for a link, after one column was taken in or out. */
export function withColumn(shown: readonly RequestColumn[], name: string, on: boolean): string {
  const names = new Set(shown.map((column) => column.name));
  return REQUEST_COLUMNS.filter((column) => (column.name === name ? on : names.has(column.name)))
    .map((column) => column.name)
    .join(",");
}
