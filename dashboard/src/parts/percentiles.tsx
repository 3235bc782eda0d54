/** Median, p95 and p99 of one column over time. */
import { useCallback, useMemo } from "react";

import { useAnswer, useBucket } from "../api/query";
import type { Paint } from "../charts/chart";
import { useAxes, useZoom } from "../charts/hooks";
import { lines, seriesOf } from "../charts/options";
import { unitOf, withUnit } from "../format/numbers";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { ChartCard } from "./chart_card";

interface Props {
  readonly title: Key;
  readonly column: string;
  readonly className?: string;
}

const PERCENTILES = [
  ["p50", "metric.p50"],
  ["p95", "metric.p95"],
  ["p99", "metric.p99"],
] as const;

export function PercentilesOverTime({ title, column, className = "half" }: Props) {
  const { t, locale } = useSpeech();
  const zoom = useZoom();
  const answer = useAnswer({ metrics: PERCENTILES.map(([p]) => `${column}.${p}`), groupBy: ["time"], bucket: useBucket() });
  const unit = unitOf(answer.data?.columns, `${column}.p50`);
  const axes = useAxes((value) => withUnit(value, unit, locale), unit);
  const series = useMemo(() => (answer.data === undefined ? [] : seriesOf(answer.data, PERCENTILES.map(([p, key]) => ({ metric: `${column}.${p}`, name: t(key) })))), [answer.data, column, t]);
  const option = useCallback((paint: Paint) => lines(series, paint, axes), [series, axes]);
  const known = series.some(({ points }) => points.some(([, value]) => value !== null));
  return <ChartCard title={t(title)} className={className} answer={answer} option={option} legend={series} nothing={known ? undefined : t("state.unknown")} onZoom={zoom} />;
}
