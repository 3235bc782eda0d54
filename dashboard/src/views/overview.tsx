/** Is it healthy, is it fast, who uses it, what does it cost, what broke: without a click. */
import { useCallback, useMemo, useRef } from "react";
import type * as echarts from "echarts/core";

import { type Answer, useAnswer } from "../api/query";
import { HealthLine, MixedNote } from "../app/health";
import { useView } from "../app/view";
import { Chart, type Paint } from "../charts/chart";
import { lines, seriesOf, stacked } from "../charts/options";
import { useAxes, useZoom } from "../charts/hooks";
import { count, duration, percent, rate, usd } from "../format/numbers";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/en";
import { Card } from "../parts/card";
import { BreakdownCard } from "../parts/breakdown";
import { Loaded } from "../parts/states";
import { Stat, type StatProps } from "../parts/stat";
import { timeTable } from "../parts/tables";
import { bucketFor, lengthMs } from "../state/range";

interface Figure extends Pick<StatProps, "show" | "good"> {
  readonly metric: string;
  readonly label: Key;
}

const FIGURES: readonly Figure[] = [
  { metric: "requests", label: "metric.requests", show: count, good: "none" },
  { metric: "success_rate", label: "metric.success_rate", show: percent, good: "up" },
  { metric: "time_to_first_token_ms.p50", label: "metric.ttft", show: duration, good: "down" },
  { metric: "response_time_ms.p95", label: "metric.response_time_p95", show: duration, good: "down" },
  { metric: "output_tokens_per_second.p50", label: "metric.output_speed", show: rate, good: "up" },
  { metric: "total_tokens", label: "metric.tokens", show: count, good: "none" },
  { metric: "cost_usd", label: "metric.cost", show: usd, good: "none" },
];
export const OUTCOME_TOKENS: Readonly<Record<string, number>> = {
  completed: 2,
  client_disconnected: 7,
  upstream_error: 4,
  upstream_truncated: 3,
  timeout: 1,
  network_error: 5,
  proxy_refused: 6,
  proxy_crashed: 0,
};

function Figures() {
  const { t } = useSpeech();
  const { range } = useView();
  const comparable = !(range.kind === "relative" && range.span === "all");
  const totals = useAnswer({ metrics: FIGURES.map(({ metric }) => metric), compare: comparable });
  const bucket = bucketFor(lengthMs(range), 24);
  const trends = useAnswer({ metrics: FIGURES.map(({ metric }) => metric), groupBy: ["time"], bucket });
  const row = totals.data?.rows[0];
  return (
    <>
      {totals.data !== undefined && <MixedNote older={totals.data.older_records} />}
      <dl className="stats">
        {FIGURES.map(({ metric, label, show, good }) => (
          <Stat
            key={metric}
            label={t(label)}
            {...hintOf(totals.data, metric)}
            cell={row?.values[metric]}
            show={show}
            good={good}
            trend={trends.data?.rows.map((each) => each.values[metric]?.value ?? null) ?? []}
          />
        ))}
      </dl>
    </>
  );
}

function hintOf(answer: Answer | undefined, metric: string): { hint?: string } {
  const column = answer?.columns.find(({ name }) => name === metric);
  return column === undefined ? {} : { hint: column.meaning };
}

function RequestsOverTime() {
  const { t, locale } = useSpeech();
  const { range } = useView();
  const axes = useAxes((value) => count(value, locale));
  const zoom = useZoom();
  const handle = useRef<echarts.ECharts | null>(null);
  const answer = useAnswer({ metrics: ["requests"], groupBy: ["time", "outcome"], bucket: bucketFor(lengthMs(range)) });
  const series = useMemo(() => (answer.data === undefined ? [] : seriesOf(answer.data, [{ metric: "requests", name: "" }], (row) => String(row.key["outcome"] ?? t("table.none")))), [answer.data, t]);
  const option = useCallback(
    (paint: Paint) => {
      const colours = Object.fromEntries(series.map(({ name }) => [name, paint.series[OUTCOME_TOKENS[name] ?? 7] ?? paint.muted]));
      return stacked(series, paint, axes, colours);
    },
    [series, axes],
  );
  return (
    <Card title={t("chart.requestsOverTime")} className="two-thirds" table={answer.data && timeTable(answer.data)} handle={handle}>
      <Loaded from={answer} empty={(data) => data.records === 0}>
        {() => <Chart option={option} label={t("chart.requestsOverTime")} onZoom={zoom} handle={handle} />}
      </Loaded>
    </Card>
  );
}

interface LinesProps {
  readonly title: Key;
  readonly column: string;
  readonly show: (value: number | null | undefined, locale: string) => string;
  readonly className?: string;
}

const PERCENTILES = [
  ["p50", "metric.p50"],
  ["p95", "metric.p95"],
  ["p99", "metric.p99"],
] as const;

/** Median, p95 and p99 of one column over time. */
export function PercentilesOverTime({ title, column, show, className = "half" }: LinesProps) {
  const { t, locale } = useSpeech();
  const { range } = useView();
  const axes = useAxes((value) => show(value, locale));
  const zoom = useZoom();
  const handle = useRef<echarts.ECharts | null>(null);
  const answer = useAnswer({ metrics: PERCENTILES.map(([p]) => `${column}.${p}`), groupBy: ["time"], bucket: bucketFor(lengthMs(range)) });
  const series = useMemo(() => (answer.data === undefined ? [] : seriesOf(answer.data, PERCENTILES.map(([p, key]) => ({ metric: `${column}.${p}`, name: t(key) })))), [answer.data, column, t]);
  const option = useCallback((paint: Paint) => lines(series, paint, axes), [series, axes]);
  return (
    <Card title={t(title)} className={className} table={answer.data && timeTable(answer.data)} handle={handle}>
      <Loaded from={answer} empty={(data) => data.records === 0}>
        {() => <Chart option={option} label={t(title)} onZoom={zoom} handle={handle} />}
      </Loaded>
    </Card>
  );
}

export default function Overview() {
  return (
    <>
      <div className="bar health-bar">
        <HealthLine />
      </div>
      <Figures />
      <div className="grid">
        <RequestsOverTime />
        <BreakdownCard title="errors.category" dimension="error_category" metric="requests" className="third" errorsOnly />
        <PercentilesOverTime title="chart.latencyOverTime" column="response_time_ms" show={duration} />
        <PercentilesOverTime title="chart.ttftOverTime" column="time_to_first_token_ms" show={duration} />
        <BreakdownCard title="nav.models" dimension="model" metric="requests" className="third" />
        <BreakdownCard title="table.origin" dimension="origin" metric="requests" className="third" />
        <BreakdownCard title="metric.cost" dimension="model" metric="cost_usd" className="third" />
      </div>
    </>
  );
}
