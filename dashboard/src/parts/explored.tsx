/** The drawings of one metric that a reader of Explore chooses from, but histograms and the year. */
import { useCallback, useMemo } from "react";

import { SUMMED_COLUMNS } from "../api/columns";
import { type Answer, useAnswer, useBucket } from "../api/query";
import { useView } from "../app/view";
import type { Paint } from "../charts/chart";
import { useAxes, useZoom } from "../charts/hooks";
import { lines, type Series, seriesOf, stacked } from "../charts/options";
import { columnOf } from "../format/columns";
import { unitOf, withUnit } from "../format/numbers";
import { useSpeech } from "../i18n";
import { GOOD, type Measured } from "../views/cards";
import { crossTable } from "./by_time";
import { ChartCard } from "./chart_card";
import type { LegendItem } from "./legend";
import { dimensionName, metricName } from "./metric_names";
import { Delta } from "./moved";
import { filterOf, namesOf } from "./names";
import { type Ranked, RankedBars, rankedPicture } from "./ranked";

/** What may stand on each other: parts of a whole. */
const ADDS_UP: ReadonlySet<string> = new Set(["requests", ...SUMMED_COLUMNS]);
const MOST_SERIES = 7; // and one for all others
const MOST_BARS = 15;

export interface Explored {
  readonly metric: string;
  readonly by: readonly string[];
  readonly compare: boolean;
  readonly log?: boolean;
}

export function useTitle(metric: string, by: readonly string[]): string {
  const { t } = useSpeech();
  return by.length === 0 ? metricName(metric, t) : t("explore.metricBy", { metric: metricName(metric, t), by: by.map((each) => dimensionName(each, t)).join(" · ") });
}

/** The series of the period before, in the colours of those of now, where the answer compares. Pure. */
export function before(answer: Answer, metric: string, now: readonly Series[], name: (row: Answer["rows"][number]) => string, word: string): Series[] {
  const points = new Map<string, [number, number | null][]>(now.map((each) => [each.name, []]));
  for (const row of answer.rows) points.get(name(row))?.push([Date.parse(String(row.key["time"])), row.values[metric]?.previous ?? null]);
  return now.map((each) => ({
    name: now.length === 1 ? word : `${each.name} · ${word}`,
    colour: each.colour,
    points: points.get(each.name) ?? [],
    dashed: true,
    hidesWith: now.length === 1 ? [word] : [each.name, word],
  }));
}

const isKnown = ({ points }: Series) => points.some(([, value]) => value !== null);

export function OverTime({ metric, by, compare, log = false, bars }: Explored & { readonly bars: boolean }) {
  const { t, locale } = useSpeech();
  const { zone } = useView();
  const zoom = useZoom();
  const bucket = useBucket();
  const answer = useAnswer({ metrics: [metric], groupBy: ["time", ...by], bucket, limit: MOST_SERIES, compare });
  const unit = unitOf(answer.data?.columns, metric);
  const axes = useAxes((value) => withUnit(value, unit, locale), unit);
  const title = useTitle(metric, by);
  const { now, drawn } = useMemo(() => {
    const data = answer.data;
    if (data === undefined) return { now: [], drawn: [] };
    const alone = metricName(metric, t);
    const name = (row: Answer["rows"][number]) => (by.length === 0 ? alone : namesOf(row, by, t, locale));
    const found = seriesOf(data, [{ metric, name: alone }], name).filter(isKnown);
    return { now: found, drawn: compare ? [...found, ...before(data, metric, found, name, t("explore.before"))] : found };
  }, [answer.data, metric, by, compare, t, locale]);
  const legend = useMemo<readonly LegendItem[]>(() => (compare ? [...now, { name: t("explore.before"), colour: now.length === 1 ? 0 : 7, dashed: true }] : now), [now, compare, t]);
  const option = useCallback((paint: Paint) => (bars ? stacked(drawn, paint, axes, ADDS_UP.has(metric)) : lines(drawn, paint, axes, log)), [bars, drawn, axes, metric, log]);
  const table = useMemo(() => answer.data && drawn.length > 0 && crossTable(answer.data, drawn, unit, { t, locale, zone }), [answer.data, drawn, unit, t, locale, zone]);
  const isCut = log && drawn.some(({ points }) => points.some(([, value]) => value !== null && value <= 0));
  return (
    <ChartCard
      className="tall"
      title={title}
      answer={answer}
      option={option}
      legend={legend}
      onZoom={zoom}
      nothing={drawn.length > 0 ? undefined : t("state.unknown")}
      {...(table ? { table } : {})}
      {...(isCut ? { hint: t("explore.positiveOnly") } : {})}
    />
  );
}

/** Groups under the largest values, the number at each bar, and how it moved. */
export function RankedBy({ metric, by, compare, log = false }: Explored) {
  const { t, locale } = useSpeech();
  const { search, change } = useView();
  const answer = useAnswer({ metrics: [metric], groupBy: by, order: `-${metric}`, limit: MOST_BARS, compare });
  const unit = unitOf(answer.data?.columns, metric);
  const title = useTitle(metric, by);
  const bands = useMemo(() => {
    const rows = (answer.data?.rows ?? []).filter((row) => (row.values[metric]?.value ?? row.values[metric]?.previous ?? null) !== null);
    const show = columnOf(rows.map((row) => row.values[metric]?.value), unit, locale);
    return rows.map((row): Ranked => {
      const cell = row.values[metric];
      const filters = by.map((dimension) => (row.merged > 0 ? null : filterOf(dimension, row.key[dimension], search.tag)));
      const found = filters.filter((filter) => filter !== null);
      return {
        name: namesOf(row, by, t, locale),
        value: cell?.value ?? null,
        text: show(cell?.value),
        isRest: row.merged > 0,
        ...(compare ? { previous: cell?.previous ?? null, beside: <Delta row={row} cell={cell} isFirst good={GOOD[metric as Measured] ?? "none"} rate={unit === "ratio"} show={show} /> } : {}),
        ...(found.length === by.length && found.length > 0 ? { act: () => change(Object.assign({}, ...found) as (typeof found)[number]) } : {}),
      };
    });
  }, [answer.data, metric, by, compare, unit, search.tag, change, t, locale]);
  const isCut = log && bands.some(({ value }) => value !== null && value <= 0);
  return (
    <ChartCard className="tall" title={title} answer={answer} nothing={bands.length > 0 ? undefined : t("state.unknown")} picture={() => rankedPicture(bands, log)} {...(isCut ? { hint: t("explore.positiveOnly") } : {})}>
      <RankedBars bands={bands} label={title} log={log} />
    </ChartCard>
  );
}
