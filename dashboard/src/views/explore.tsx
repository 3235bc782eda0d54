/** Any metric by any dimension, as lines, bars, a heat map or a histogram; beside the range before, if asked. */
import type * as echarts from "echarts/core";
import { useCallback, useMemo, useRef } from "react";

import { type Answer, useAnswer, useFetched } from "../api/query";
import { useView } from "../app/view";
import { Chart, type Paint } from "../charts/chart";
import { useAxes, useZoom } from "../charts/hooks";
import { heatmap, lines, ranking, type Series, seriesOf, stacked } from "../charts/options";
import { withUnit } from "../format/numbers";
import { useSpeech } from "../i18n";
import { Card } from "../parts/card";
import { HistogramCard } from "../parts/histogram";
import { Loaded } from "../parts/states";
import { plainTable } from "../parts/tables";
import { bucketFor, lengthMs } from "../state/range";

const KINDS = ["line", "bar", "heatmap", "histogram", "ranking"] as const;
type Kind = (typeof KINDS)[number];

const STATISTICS = ["mean", "p50", "p90", "p95", "p99", "min", "max"];
const PLAIN = [
  "requests", "success_rate", "error_rate", "requests_per_second", "concurrency_mean", "concurrency_max", "prompt_tokens",
  "completion_tokens", "cached_tokens", "reasoning_tokens", "total_tokens", "cost_usd",
];
const COLUMNS = [
  "response_time_ms", "time_to_first_token_ms", "time_to_last_token_ms", "time_to_first_byte_ms", "time_per_output_token_ms",
  "output_tokens_per_second", "tokens_per_second", "inter_chunk_max_ms", "proxy_overhead_ms",
];
const DIMENSIONS = [
  "model", "response_model", "backend_name", "endpoint", "origin", "api_key_id", "user", "streaming", "outcome", "error_category",
  "error_type", "finish_reason", "status_code", "app_version", "prompt_length", "completion_length", "hour_of_day", "weekday",
];
const ADDS_UP = new Set(["requests", "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "total_tokens", "cost_usd"]);
const MOST_SERIES = 8;

function before(answer: Answer, metric: string, name: string): Series {
  return { name, points: answer.rows.map((row) => [Date.parse(String(row.key["time"])), row.values[metric]?.previous ?? null]) };
}

function OverTime({ metric, by, kind, compare }: { metric: string; by: string | null; kind: Kind; compare: boolean }) {
  const { t, locale } = useSpeech();
  const { range } = useView();
  const zoom = useZoom();
  const handle = useRef<echarts.ECharts | null>(null);
  const answer = useAnswer({
    metrics: [metric],
    groupBy: by === null ? ["time"] : ["time", by],
    bucket: bucketFor(lengthMs(range)),
    limit: by === null ? 10 : MOST_SERIES,
    compare: compare && by === null,
  });
  const unit = answer.data?.columns.find(({ name }) => name === metric)?.unit ?? "";
  const axes = useAxes((value) => withUnit(value, unit, locale));
  const series = useMemo(() => {
    if (answer.data === undefined) return [];
    if (by !== null) return seriesOf(answer.data, [{ metric, name: metric }], (row) => (row.key[by] === null ? t("table.none") : String(row.key[by])));
    const now = seriesOf(answer.data, [{ metric, name: metric }]);
    return compare ? [...now, before(answer.data, metric, t("explore.before"))] : now;
  }, [answer.data, metric, by, compare, t]);
  const option = useCallback((paint: Paint) => (kind === "bar" && ADDS_UP.has(metric) && !compare ? stacked(series, paint, axes) : lines(series, paint, axes)), [kind, metric, series, axes, compare]);
  return (
    <Card title={`${metric}${by === null ? "" : ` · ${by}`}`} table={answer.data && plainTable(answer.data)} handle={handle}>
      <Loaded from={answer} empty={(data) => data.records === 0}>
        {() => <Chart option={option} label={metric} onZoom={zoom} handle={handle} />}
      </Loaded>
    </Card>
  );
}

function WeekMap({ metric }: { metric: string }) {
  const { locale } = useSpeech();
  const handle = useRef<echarts.ECharts | null>(null);
  const answer = useAnswer({ metrics: [metric], groupBy: ["weekday", "hour_of_day"], limit: 200 });
  const unit = answer.data?.columns.find(({ name }) => name === metric)?.unit ?? "";
  const days = useMemo(() => Array.from({ length: 7 }, (_, day) => new Intl.DateTimeFormat(locale, { weekday: "short", timeZone: "UTC" }).format(Date.UTC(2024, 0, 1 + day))), [locale]);
  const hours = useMemo(() => Array.from({ length: 24 }, (_, hour) => String(hour).padStart(2, "0")), []);
  const option = useCallback(
    (paint: Paint) => {
      const cells = (answer.data?.rows ?? []).map((row) => [Number(row.key["hour_of_day"]), Number(row.key["weekday"]) - 1, row.values[metric]?.value ?? null] as const);
      return heatmap(cells, hours, days, paint, (value) => withUnit(value, unit, locale));
    },
    [answer.data, metric, unit, locale, hours, days],
  );
  return (
    <Card title={metric} table={answer.data && plainTable(answer.data)} handle={handle}>
      <Loaded from={answer} empty={(data) => data.records === 0}>
        {() => <Chart option={option} label={metric} handle={handle} />}
      </Loaded>
    </Card>
  );
}

function Ranked({ metric, by }: { metric: string; by: string }) {
  const { t, locale } = useSpeech();
  const handle = useRef<echarts.ECharts | null>(null);
  const answer = useAnswer({ metrics: [metric], groupBy: [by], order: `-${metric}`, limit: 20 });
  const unit = answer.data?.columns.find(({ name }) => name === metric)?.unit ?? "";
  const option = useCallback(
    (paint: Paint) => {
      const bands = (answer.data?.rows ?? []).map((row) => ({ name: row.key[by] === null ? t("table.none") : String(row.key[by]), value: row.values[metric]?.value ?? null }));
      return ranking(bands, paint, (value) => withUnit(value, unit, locale));
    },
    [answer.data, metric, by, unit, locale, t],
  );
  return (
    <Card title={`${metric} · ${by}`} table={answer.data && plainTable(answer.data)} handle={handle}>
      <Loaded from={answer} empty={(data) => data.records === 0}>
        {() => <Chart option={option} label={metric} handle={handle} />}
      </Loaded>
    </Card>
  );
}

export default function Explore() {
  const { t } = useSpeech();
  const { search, change } = useView();
  const metric = search.metric ?? "response_time_ms.p95";
  const [column] = metric.split(".");
  const kind = KINDS.find((each) => each === search.as) ?? "line";
  const by = search.by ?? null;
  useFetched("/health"); // keeps the line of stale numbers honest here, too
  return (
    <>
      <div className="bar">
        <label className="row">
          {t("explore.metric")}
          <select className="select" value={metric} onChange={(event) => change({ metric: event.target.value })}>
            {PLAIN.map((name) => (
              <option key={name}>{name}</option>
            ))}
            {COLUMNS.map((name) => (
              <optgroup key={name} label={name}>
                {STATISTICS.map((statistic) => (
                  <option key={statistic}>{`${name}.${statistic}`}</option>
                ))}
              </optgroup>
            ))}
          </select>
        </label>
        <label className="row">
          {t("explore.dimension")}
          <select className="select" value={by ?? ""} onChange={(event) => change({ by: event.target.value === "" ? undefined : event.target.value })}>
            <option value="">–</option>
            {DIMENSIONS.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <div className="segments" role="group" aria-label={t("explore.kind")}>
          {KINDS.map((each) => (
            <button key={each} type="button" aria-pressed={kind === each} onClick={() => change({ as: each === "line" ? undefined : each })}>
              {t(`explore.${each}`)}
            </button>
          ))}
        </div>
        <label className="row">
          <input type="checkbox" checked={search.compare === true} onChange={(event) => change({ compare: event.target.checked ? true : undefined })} />
          {t("explore.compare")}
        </label>
      </div>
      <div className="grid">
        {kind === "histogram" && column !== undefined && COLUMNS.includes(column) ? (
          <HistogramCard title="explore.histogram" column={column} className="" />
        ) : kind === "heatmap" ? (
          <WeekMap metric={metric} />
        ) : kind === "ranking" ? (
          <Ranked metric={metric} by={by ?? "model"} />
        ) : (
          <OverTime metric={metric} by={by} kind={kind} compare={search.compare === true} />
        )}
      </div>
    </>
  );
}
