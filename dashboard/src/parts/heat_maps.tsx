/** Maps of heat of one metric: days of the week by hours of the day, or any two dimensions; the period before beside it. */
import { useCallback, useMemo } from "react";

import { type Answer, type Asked, useAnswer } from "../api/query";
import type { Paint } from "../charts/chart";
import { heatmap } from "../charts/spread";
import { unitOf, withUnit } from "../format/numbers";
import { useSpeech } from "../i18n";
import { daysFrom, weekStart } from "../state/week";
import { ChartCard } from "./chart_card";
import { type Explored, useTitle } from "./explored";
import { metricName } from "./metric_names";
import { valueName, weekdayName } from "./names";

const HOURS = Array.from({ length: 24 }, (_, hour) => String(hour).padStart(2, "0"));
const MOST_LINES = 14; // what still has a name that can be read
const MOST_CELLS = 2000;

type Side = "value" | "previous";

interface Grid {
  readonly across: readonly string[];
  readonly down: readonly string[];
  readonly at: (row: Answer["rows"][number]) => readonly [number, number];
}

interface MapsProps {
  readonly answer: Asked;
  readonly metric: string;
  readonly title: string;
  readonly grid: Grid;
  readonly compare: boolean;
}

/** Both maps have one scale of colours: else they could not be compared. */
function Maps({ answer, metric, title, grid, compare }: MapsProps) {
  const { t, locale } = useSpeech();
  const unit = unitOf(answer.data?.columns, metric);
  const most = useMemo(() => Math.max(0, ...(answer.data?.rows ?? []).flatMap(({ values }) => [values[metric]?.value ?? 0, (compare ? values[metric]?.previous : 0) ?? 0])) || 1, [answer.data, metric, compare]);
  const draw = useCallback(
    (side: Side) => (paint: Paint) => {
      const cells = (answer.data?.rows ?? []).flatMap((row) => {
        const [x, y] = grid.at(row);
        return x < 0 || y < 0 ? [] : [[x, y, row.values[metric]?.[side] ?? null] as const];
      });
      return heatmap(cells, grid.across, grid.down, paint, (value) => withUnit(value, unit, locale), most);
    },
    [answer.data, metric, grid, unit, locale, most],
  );
  const [now, previous] = useMemo(() => [draw("value"), draw("previous")], [draw]);
  return (
    <>
      <ChartCard className={compare ? "tall half" : "tall"} title={title} answer={answer} option={now} />
      {compare && <ChartCard className="tall half" title={`${title} · ${t("explore.before")}`} answer={answer} option={previous} />}
    </>
  );
}

/** In the zone of the page. */
export function WeekMap({ metric, compare }: Pick<Explored, "metric" | "compare">) {
  const { t, locale } = useSpeech();
  const answer = useAnswer({ metrics: [metric], groupBy: ["weekday", "hour_of_day"], limit: 200, compare });
  const grid = useMemo<Grid>(() => {
    const week = daysFrom(weekStart(locale));
    return { across: HOURS, down: week.map((day) => weekdayName(day, locale, "short")), at: (row) => [Number(row.key["hour_of_day"]), week.indexOf(Number(row.key["weekday"]))] };
  }, [locale]);
  return <Maps answer={answer} metric={metric} title={metricName(metric, t)} grid={grid} compare={compare} />;
}

/** The values of a dimension with the most records first; hours and days in their own order, which has none left out. */
function leading(rows: Answer["rows"], dimension: string, metric: string, most: number, locale: string): readonly unknown[] {
  if (dimension === "hour_of_day") return HOURS.map(Number);
  if (dimension === "weekday") return daysFrom(weekStart(locale));
  const weights = new Map<unknown, number>();
  for (const row of rows) weights.set(row.key[dimension], (weights.get(row.key[dimension]) ?? 0) + (row.values[metric]?.n ?? 0));
  return [...weights].sort(([, a], [, b]) => b - a).slice(0, most).map(([value]) => value);
}

export function MatrixMap({ metric, by, compare }: Explored) {
  const { t, locale } = useSpeech();
  const [down = "model", across = "outcome"] = by;
  const answer = useAnswer({ metrics: metric === "requests" ? [metric] : [metric, "requests"], groupBy: [down, across], order: "-requests", limit: MOST_CELLS, compare });
  const title = useTitle(metric, by);
  const grid = useMemo<Grid>(() => {
    const rows = (answer.data?.rows ?? []).filter(({ merged }) => merged === 0);
    const [ys, xs] = [leading(rows, down, metric, MOST_LINES, locale), leading(rows, across, metric, MOST_LINES, locale)];
    const names = (values: readonly unknown[], dimension: string) => values.map((value) => valueName(value as string, dimension, t, locale));
    return { across: names(xs, across), down: names(ys, down), at: (row) => (row.merged > 0 ? [-1, -1] : [xs.indexOf(row.key[across]), ys.indexOf(row.key[down])]) };
  }, [answer.data, metric, down, across, t, locale]);
  return <Maps answer={answer} metric={metric} title={title} grid={grid} compare={compare} />;
}
