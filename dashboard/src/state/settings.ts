/** Settings as people look for them: found by any word, and with units that are read at a glance. Pure. */
import { duration, formatter, MISSING } from "../format/numbers";
import type { ProgramText } from "../i18n/program";

export interface SettingRow {
  readonly name: string;
  readonly group: string;
  readonly value: string | number | boolean | null;
  readonly origin: string;
  readonly meaning: string;
}

export const isChanged = ({ origin }: SettingRow): boolean => origin !== "default";

/** Rows as the reader's language says them: names stay, and a setting of a newer program stays English. */
export const inWords = (rows: readonly SettingRow[], text: ProgramText): readonly SettingRow[] =>
  rows.map((row) => ({ ...row, group: text(`group.${row.group}`, row.group), meaning: text(`setting.${row.name}`, row.meaning) }));

/** Rows in which every word is found, somewhere. */
export function found(rows: readonly SettingRow[], words: string, changedOnly: boolean): readonly SettingRow[] {
  const wanted = words.toLowerCase().split(/\s+/).filter((word) => word !== "");
  return rows.filter((row) => {
    const text = `${row.name} ${row.name.replaceAll("_", " ")} ${row.group} ${row.value} ${row.meaning}`.toLowerCase();
    return wanted.every((word) => text.includes(word)) && (!changedOnly || isChanged(row));
  });
}

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** In powers of 1024, as sizes are set: 67108864 is 64 MiB. */
function size(bytes: number, locale: string): string {
  const step = bytes < 1 ? 0 : Math.min(SIZES.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${formatter(locale, { maximumSignificantDigits: 3 }).format(bytes / 1024 ** step)} ${SIZES[step] ?? ""}`;
}

type Show = (value: number, locale: string) => string;
/** By how the name of a setting ends. */
const UNITS: readonly (readonly [string, Show])[] = [
  ["_bytes_per_s", (value, locale) => `${size(value, locale)}/s`],
  ["_bytes", size],
  ["_ms", duration],
  ["_s", (value, locale) => duration(value * 1000, locale)],
  ["_days", (value, locale) => formatter(locale, { style: "unit", unit: "day", unitDisplay: "long" }).format(value)],
];
const NOTHING: ReadonlySet<unknown> = new Set([null, "none", "[]", ""]);

/** The value as it is read. What is 0 stays 0: it says that there is no limit, not how long. */
export function shown({ name, value }: SettingRow, locale: string): string {
  if (NOTHING.has(value)) return MISSING;
  const number = Number(value);
  const show = UNITS.find(([end]) => name.endsWith(end))?.[1];
  return show === undefined || typeof value === "boolean" || !Number.isFinite(number) || number === 0 ? String(value) : show(number, locale);
}
