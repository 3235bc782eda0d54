/** What adds up, bucket by bucket, by the largest values of a dimension: as bars on each other, and as a table of both. */
import { useCallback, useMemo } from "react";

import { type Answer, useAnswer, useBucket } from "../api/query";
import { useView } from "../app/view";
import type { Paint } from "../charts/chart";
import { useAxes, useZoom } from "../charts/hooks";
import { partialOf, type Series, seriesOf, stacked } from "../charts/options";
import { headed } from "../format/columns";
import { unitOf, withUnit } from "../format/numbers";
import { isoIn } from "../format/times";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { ChartCard } from "./chart_card";
import { nameOf } from "./names";
import { noteOf, type Reader, type Table, timeText } from "./tables";

interface Props {
  readonly title: Key;
  readonly dimension: string;
  readonly metric: string;
  readonly className?: string;
}

const MOST = 7; // and one for all others

/** A row per bucket, a column per value: all in one unit. Pure. */
export function crossTable(answer: Answer, series: readonly Series[], unit: string, reader: Reader): Table {
  const { t, locale, zone } = reader;
  const moments = [...new Set(answer.rows.map((row) => String(row.key["time"])))].filter((at) => Number.isFinite(Date.parse(at)));
  const partial = partialOf(answer);
  const columns = series.map(({ name, points }) => {
    const values = new Map(points);
    return { name, of: (at: string) => values.get(Date.parse(at)) ?? null };
  });
  const all = headed(series.flatMap(({ points }) => points.map(([, value]) => value)), unit, locale);
  return {
    head: [t("table.time"), ...columns.map(({ name }) => name)],
    rows: moments.map((at) => [isoIn(at, zone), ...columns.map(({ of }) => of(at))]),
    shown: {
      head: [{ name: t("table.time"), isNumber: false }, ...columns.map(({ name }) => ({ name, unit: all.unit, isNumber: true }))],
      rows: moments.map((at) => [timeText(at, answer.bucket, partial.has(Date.parse(at)), reader), ...columns.map(({ of }) => all.show(of(at)))]),
      ...noteOf(answer, t),
    },
  };
}

export function ByTime({ title, dimension, metric, className = "" }: Props) {
  const { t, locale } = useSpeech();
  const { zone } = useView();
  const zoom = useZoom();
  const bucket = useBucket();
  const answer = useAnswer({ metrics: [metric], groupBy: ["time", dimension], bucket, order: `-${metric}`, limit: MOST });
  const unit = unitOf(answer.data?.columns, metric);
  const axes = useAxes((value) => withUnit(value, unit, locale), unit);
  const series = useMemo(() => (answer.data === undefined ? [] : seriesOf(answer.data, [{ metric, name: metric }], (row) => nameOf(row, dimension, t, locale))), [answer.data, metric, dimension, t, locale]);
  const option = useCallback((paint: Paint) => stacked(series, paint, axes), [series, axes]);
  const table = useMemo(() => answer.data && crossTable(answer.data, series, unit, { t, locale, zone }), [answer.data, series, unit, t, locale, zone]);
  return <ChartCard className={className} title={t(title)} answer={answer} option={option} legend={series} table={table} onZoom={zoom} />;
}
