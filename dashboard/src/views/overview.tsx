/** Is it healthy, is it fast, who uses it, what does it cost, what broke: without a click. */
import { useCallback, useMemo } from "react";

import { type Answer, type Cell, useAnswer, useBucket } from "../api/query";
import { HealthLine } from "../app/health";
import { useView } from "../app/view";
import type { Paint } from "../charts/chart";
import { useAxes, useZoom } from "../charts/hooks";
import { seriesOf, stacked } from "../charts/options";
import { count, unitOf, withUnit } from "../format/numbers";
import { useSpeech } from "../i18n";
import { Cards } from "../parts/cards";
import { ChartCard } from "../parts/chart_card";
import { nameOf } from "../parts/names";
import { Stat } from "../parts/stat";
import { FIGURES, METRIC_WORDS, OVERVIEW } from "./cards";

/** An outcome has the same colour everywhere, whichever others there are; green and red stand far apart in brightness. */
const OUTCOME_COLOURS: Readonly<Record<string, number>> = {
  completed: 2,
  client_disconnected: 7,
  upstream_error: 4,
  upstream_truncated: 3,
  timeout: 1,
  network_error: 5,
  proxy_refused: 6,
  proxy_crashed: 0,
};
const TREND_POINTS = 24;
/** Where no record was selected there are no rows, either. */
const NOTHING: Cell = { value: 0, n: 0, coverage: null };

function Figures() {
  const { t } = useSpeech();
  const { range } = useView();
  const comparable = !(range.kind === "relative" && range.span === "all");
  const metrics = FIGURES.map(({ metric }) => metric);
  const totals = useAnswer({ metrics, compare: comparable });
  const trends = useAnswer({ metrics, groupBy: ["time"], bucket: useBucket(TREND_POINTS) });
  const row = totals.data?.rows[0];
  return (
    <>
      <div className="bar">
        <HealthLine />
      </div>
      <dl className="stats">
        {FIGURES.map(({ metric, good }) => (
          <Stat
            key={metric}
            label={t(METRIC_WORDS[metric])}
            {...hintOf(totals.data, metric)}
            cell={row?.values[metric] ?? (metric === "requests" && totals.data !== undefined ? NOTHING : undefined)}
            show={(value, locale) => withUnit(value, unitOf(totals.data?.columns, metric), locale)}
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
  const axes = useAxes((value) => count(value, locale));
  const zoom = useZoom();
  const answer = useAnswer({ metrics: ["requests"], groupBy: ["time", "outcome"], bucket: useBucket(TREND_POINTS) }); // no finer: hours of outcomes are rolled up on every day
  const series = useMemo(() => {
    if (answer.data === undefined) return [];
    const found = seriesOf(answer.data, [{ metric: "requests", name: "" }], (row) => nameOf(row, "outcome", t));
    return found.map((each) => ({ ...each, colour: OUTCOME_COLOURS[each.name] ?? 7 }));
  }, [answer.data, t]);
  const option = useCallback((paint: Paint) => stacked(series, paint, axes), [series, axes]);
  return <ChartCard title={t("chart.requestsOverTime")} className="two-thirds" answer={answer} option={option} legend={series} onZoom={zoom} />;
}

export default function Overview() {
  return (
    <>
      <Figures />
      <div className="grid">
        <RequestsOverTime />
        <Cards rows={OVERVIEW} />
      </div>
    </>
  );
}
