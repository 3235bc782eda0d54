/** Answers as tables: what a chart draws, for readers and for files. Pure. */
import type { Answer } from "../api/query";
import { headed } from "../format/columns";
import { unitOf } from "../format/numbers";
import { dayOrMoment, isoIn } from "../format/times";
import type { Speech } from "../i18n";
import { dimensionName, metricName } from "./metric_names";
import { nameOf } from "./names";

export type Value = string | number | boolean | null;

export interface Head {
  readonly name: string;
  /** Of all values of the column. */
  readonly unit?: string;
  readonly isNumber: boolean;
}

/** `head` and `rows` are for files and programs; `shown` is what readers see, a text per value. */
export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly Value[])[];
  readonly shown?: { readonly head: readonly Head[]; readonly rows: readonly (readonly string[])[]; readonly note?: string };
}

export interface Reader {
  readonly t: Speech["t"];
  readonly locale: string;
  readonly zone: string;
}

const PERCENTILE = /\.p[\d.]+$/;

/** Percentiles of all others together are not known, though there are records: a table says why. */
export function noteOf(answer: Answer, t: Speech["t"]): { readonly note?: string } {
  const isUnsaid = answer.rows.some((row) => row.merged > 0 && Object.entries(row.values).some(([metric, { value, n }]) => value === null && n > 0 && PERCENTILE.test(metric)));
  return isUnsaid ? { note: t("chart.notOfOthers") } : {};
}

export function timeText(at: Value | undefined, bucket: string | null, partial: boolean, { t, locale, zone }: Reader): string {
  const text = dayOrMoment(Date.parse(String(at)), bucket ?? "", locale, zone);
  return partial ? `${text} (${t("changes.partial")})` : text;
}

/** A row per row of the answer: its dimensions, then its metrics. Times are those of the reader's zone. */
export function plainTable(answer: Answer, reader: Reader): Table {
  const { t, locale, zone } = reader;
  const columns = answer.columns.map(({ name, kind }) => {
    const isNumber = kind === "metric";
    const of = headed(isNumber ? answer.rows.map((row) => row.values[name]?.value) : [], unitOf(answer.columns, name), locale);
    return { name, isNumber, of };
  });
  const isTime = (name: string) => name === "time";
  const raw = (row: Answer["rows"][number], name: string): Value => (isTime(name) ? isoIn(String(row.key["time"]), zone) : row.merged > 0 ? t("table.others", { count: row.merged }) : (row.key[name] ?? null));
  const said = (row: Answer["rows"][number], name: string): string => (isTime(name) ? timeText(row.key["time"], answer.bucket, row.partial === true, reader) : nameOf(row, name, t, locale));
  return {
    head: columns.map(({ name }) => name),
    rows: answer.rows.map((row) => columns.map(({ name, isNumber }) => (isNumber ? (row.values[name]?.value ?? null) : raw(row, name)))),
    shown: {
      head: columns.map(({ name, isNumber, of }) => (isNumber ? { name: metricName(name, t), unit: of.unit, isNumber } : { name: dimensionName(name, t), isNumber })),
      rows: answer.rows.map((row) => columns.map(({ name, isNumber, of }) => (isNumber ? of.show(row.values[name]?.value) : said(row, name)))),
      ...noteOf(answer, t),
    },
  };
}
