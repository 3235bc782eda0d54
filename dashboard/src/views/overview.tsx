/** Is it healthy, is it fast, who uses it, what does it cost, what broke: without a click. */
import { useCallback, useMemo } from "react";

import { type Answer, type Cell, useAnswer, useBucket, useComparable } from "../api/query";
import { HealthLine } from "../app/health";
import type { Paint } from "../charts/chart";
import { useAxes, useZoom } from "../charts/hooks";
import { seriesOf, stacked } from "../charts/options";
import { count, unitOf } from "../format/numbers";
import { type Speech, useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { Cards } from "../parts/cards";
import { ChangesCard } from "../parts/changes";
import { ChartCard } from "../parts/chart_card";
import { nameOf, termOf } from "../parts/names";
import { NearLimits } from "../parts/near_limits";
import { Stat } from "../parts/stat";
import { Welcome } from "../parts/welcome";
import { BESIDE_REQUESTS, ESTIMATED, FIGURES, isCost, METRIC_WORDS, OVERVIEW } from "./cards";

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

/** What people look at first, each beside what it was before. */
export function Figures() {
  const { t } = useSpeech();
  const comparable = useComparable();
  const metrics = FIGURES.map(({ metric }) => metric);
  const totals = useAnswer({ metrics: [...metrics, ESTIMATED], compare: comparable });
  const trends = useAnswer({ metrics, groupBy: ["time"], bucket: useBucket(TREND_POINTS) });
  const row = totals.data?.rows[0];
  return (
    <dl className="stats">
      {FIGURES.map(({ metric, good }) => (
        <Stat
          key={metric}
          label={t(METRIC_WORDS[metric])}
          {...hintOf(totals.data, metric, t)}
          cell={row?.values[metric] ?? (metric === "requests" && totals.data !== undefined ? NOTHING : undefined)}
          unit={unitOf(totals.data?.columns, metric)}
          good={good}
          estimated={isCost(metric) && (row?.values[ESTIMATED]?.value ?? 0) !== 0}
          trend={trends.data?.rows.map((each) => each.values[metric]?.value ?? null) ?? []}
        />
      ))}
    </dl>
  );
}

/** In the reader's language; the program's own words for a figure that this page has none for. */
function hintOf(answer: Answer | undefined, metric: string, t: Speech["t"]): { hint?: string } {
  const column = answer?.columns.find(({ name }) => name === metric);
  return column === undefined ? {} : { hint: (t(`hint.${metric}` as Key) as string | undefined) ?? column.meaning };
}

export function RequestsOverTime({ className = "two-thirds" }: { className?: string }) {
  const { t, locale } = useSpeech();
  const axes = useAxes((value) => count(value, locale));
  const zoom = useZoom();
  const answer = useAnswer({ metrics: ["requests"], groupBy: ["time", "outcome"], bucket: useBucket(TREND_POINTS) }); // no finer: hours of outcomes are rolled up on every day
  const series = useMemo(() => {
    if (answer.data === undefined) return [];
    const found = seriesOf(answer.data, [{ metric: "requests", name: "" }], (row) => nameOf(row, "outcome", t));
    const colours = new Map(Object.entries(OUTCOME_COLOURS).map(([outcome, colour]) => [termOf("outcome", outcome, t), colour]));
    return found.map((each) => ({ ...each, colour: colours.get(each.name) ?? 7 }));
  }, [answer.data, t]);
  const option = useCallback((paint: Paint) => stacked(series, paint, axes), [series, axes]);
  return <ChartCard title={t("chart.requestsOverTime")} className={className} answer={answer} option={option} legend={series} onZoom={zoom} />;
}

export default function Overview() {
  return (
    <>
      <div className="bar">
        <HealthLine />
        <NearLimits />
      </div>
      <Welcome first={<Figures />}>
        <div className="grid">
          <RequestsOverTime />
          <Cards rows={BESIDE_REQUESTS} />
          <ChangesCard />
          <Cards rows={OVERVIEW} />
        </div>
      </Welcome>
    </>
  );
}
