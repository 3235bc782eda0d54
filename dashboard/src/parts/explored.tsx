/** The drawings of one metric that a reader of Explore chooses from. */
import { useCallback, useMemo } from "react";

import { SUMMED_COLUMNS } from "../api/columns";
import { type Answer, useAnswer, useBucket } from "../api/query";
import type { Paint } from "../charts/chart";
import { useAxes, useZoom } from "../charts/hooks";
import { heatmap, lines, ranking, type Series, seriesOf, stacked } from "../charts/options";
import { unitOf, withUnit } from "../format/numbers";
import { useSpeech } from "../i18n";
import { ChartCard } from "./chart_card";
import { nameOf } from "./names";

/** What may stand on each other: parts of a whole. */
const ADDS_UP: ReadonlySet<string> = new Set(["requests", ...SUMMED_COLUMNS]);
const MOST_SERIES = 7; // and one for all others
const MOST_BARS = 8;
const HOURS = Array.from({ length: 24 }, (_, hour) => String(hour).padStart(2, "0"));
const A_MONDAY = Date.UTC(2024, 0, 1);
const DAY_MS = 86_400_000;

function before(answer: Answer, metric: string, name: string): Series {
  return { name, colour: 1, points: answer.rows.map((row) => [Date.parse(String(row.key["time"])), row.values[metric]?.previous ?? null]) };
}

export function OverTime({ metric, by, bars, compare }: { metric: string; by: string | null; bars: boolean; compare: boolean }) {
  const { t, locale } = useSpeech();
  const zoom = useZoom();
  const bucket = useBucket();
  const answer = useAnswer({ metrics: [metric], groupBy: by === null ? ["time"] : ["time", by], bucket, limit: MOST_SERIES, compare: compare && by === null });
  const unit = unitOf(answer.data?.columns, metric);
  const axes = useAxes((value) => withUnit(value, unit, locale), unit);
  const series = useMemo(() => {
    if (answer.data === undefined) return [];
    if (by !== null) return seriesOf(answer.data, [{ metric, name: metric }], (row) => nameOf(row, by, t));
    const now = seriesOf(answer.data, [{ metric, name: metric }]);
    return compare ? [...now, before(answer.data, metric, t("explore.before"))] : now;
  }, [answer.data, metric, by, compare, t]);
  const stacking = bars && ADDS_UP.has(metric) && !compare;
  const option = useCallback((paint: Paint) => (stacking ? stacked(series, paint, axes) : lines(series, paint, axes)), [stacking, series, axes]);
  return <ChartCard className="tall" title={by === null ? metric : `${metric} · ${by}`} answer={answer} option={option} legend={series} onZoom={zoom} />;
}

/** Days of the week by hours of the day, in the zone of the page. */
export function WeekMap({ metric }: { metric: string }) {
  const { locale } = useSpeech();
  const answer = useAnswer({ metrics: [metric], groupBy: ["weekday", "hour_of_day"], limit: 200 });
  const unit = unitOf(answer.data?.columns, metric);
  const days = useMemo(() => {
    const format = new Intl.DateTimeFormat(locale, { weekday: "short", timeZone: "UTC" });
    return Array.from({ length: 7 }, (_, day) => format.format(A_MONDAY + day * DAY_MS));
  }, [locale]);
  const option = useCallback(
    (paint: Paint) => {
      const cells = (answer.data?.rows ?? []).map((row) => [Number(row.key["hour_of_day"]), Number(row.key["weekday"]) - 1, row.values[metric]?.value ?? null] as const);
      return heatmap(cells, HOURS, days, paint, (value) => withUnit(value, unit, locale));
    },
    [answer.data, metric, unit, locale, days],
  );
  return <ChartCard className="tall" title={metric} answer={answer} option={option} />;
}

export function Ranked({ metric, by }: { metric: string; by: string }) {
  const { t, locale } = useSpeech();
  const answer = useAnswer({ metrics: [metric], groupBy: [by], order: `-${metric}`, limit: MOST_BARS });
  const unit = unitOf(answer.data?.columns, metric);
  const option = useCallback(
    (paint: Paint) => {
      const bands = (answer.data?.rows ?? []).map((row) => ({ name: nameOf(row, by, t), value: row.values[metric]?.value ?? null }));
      return ranking(bands, paint, (value) => withUnit(value, unit, locale));
    },
    [answer.data, metric, by, unit, locale, t],
  );
  return <ChartCard className="tall" title={`${metric} · ${by}`} answer={answer} option={option} />;
}
