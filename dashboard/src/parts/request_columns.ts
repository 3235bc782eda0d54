/** Columns of the table of requests: which there are, what they are called, how wide they are, how they are shown. */
import { REQUEST_COLUMNS as COLUMNS } from "../api/columns";
import type { Key } from "../i18n/words";

export interface RequestColumn {
  readonly name: string;
  /** Without one, the API's own name: people who look for it know that. */
  readonly label?: Key;
  readonly widthPx: number;
  /** Of numbers; without one it is text. */
  readonly unit?: string;
  /** 0 says nothing here. */
  readonly hidesZero?: true;
}

export const REQUEST_COLUMNS: readonly RequestColumn[] = COLUMNS.map(({ unit, ...column }) => (unit === "" ? column : { ...column, unit }));
const FIRST = 11;

const NARROW_PX: Readonly<Record<string, number>> = { timestamp: 136, response_time_ms: 92, model: 122 }; // what a phone has room for
const TIME = "timestamp";

/** The columns that a link names, in the table's order; the usual ones where it names none. The one that they are sorted by is among them, right behind the time. */
export function columnsOf(words: string | undefined, sortedBy: string = TIME, narrow = false): readonly RequestColumn[] {
  const asked = new Set(words?.split(","));
  const found = REQUEST_COLUMNS.filter(({ name }) => asked.has(name));
  const usual = found.length === 0 ? REQUEST_COLUMNS.slice(0, FIRST) : found;
  const first = sortedBy !== TIME && !(usual.some(({ name }) => name === sortedBy) && !narrow) ? sortedBy : narrow && found.length === 0 ? "response_time_ms" : null;
  if (first === null) return usual;
  const known = REQUEST_COLUMNS.find(({ name }) => name === first) ?? { name: first, widthPx: 140 };
  const rest = usual.filter(({ name }) => name !== first);
  const made = [...rest.filter(({ name }) => name === TIME), known, ...rest.filter(({ name }) => name !== TIME)];
  return narrow ? made.map((column) => ({ ...column, widthPx: NARROW_PX[column.name] ?? column.widthPx })) : made;
}

/** Of the widest common font, half bold. */
const LETTER_PX = 9.2;
const CYRILLIC_PX = 10.4;
const VALUE_PX = 8.2;
const PADDING_PX = 16;
const ARROW_PX = 13;

/** The width of a column: its own, or what the longest word of its heading needs, or a value that stays in one line, in pixels. Japanese and Chinese break anywhere. */
export function roomFor(widthPx: number, heading: string, sorted = false, value = ""): number {
  const letterPx = /\p{Script=Cyrillic}/u.test(heading) ? CYRILLIC_PX : LETTER_PX;
  const longest = Math.max(...heading.split(/[\s\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}-]+/u).map((word) => word.length));
  return Math.max(widthPx, Math.ceil(longest * letterPx) + PADDING_PX + (sorted ? ARROW_PX : 0), Math.ceil(value.length * VALUE_PX) + PADDING_PX);
}

/** The same as words for a link, after one column was taken in or out. */
export function withColumn(shown: readonly RequestColumn[], name: string, on: boolean): string {
  const names = new Set(shown.map((column) => column.name));
  return REQUEST_COLUMNS.filter((column) => (column.name === name ? on : names.has(column.name)))
    .map((column) => column.name)
    .join(",");
}
