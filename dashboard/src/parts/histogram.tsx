/** How one number is spread: a histogram over bins that are the same for all data, by groups and beside the period before. */
import { useCallback, useMemo } from "react";

import { MEASURED_COLUMNS } from "../api/columns";
import { useAnswer } from "../api/query";
import type { Paint } from "../charts/chart";
import { histogram, type Spread } from "../charts/spread";
import { count, withUnit } from "../format/numbers";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { type GroupName, spreadOf } from "../state/bins";
import { ChartCard } from "./chart_card";
import { dimensionName, metricName } from "./metric_names";
import { namesOf } from "./names";

const UNITS: ReadonlyMap<string, string> = new Map(MEASURED_COLUMNS.map(({ name, unit }) => [name, unit]));
const MOST_ROWS = 5000; // bins by groups: those beyond the largest groups are together one

interface Props {
  /** Else what the column is called. */
  readonly title?: Key;
  readonly column: string;
  readonly className?: string;
  readonly by?: readonly string[];
  readonly compare?: boolean;
  readonly log?: boolean;
}

const ALONE: readonly string[] = [];

export function HistogramCard({ title, column, className = "half", by = ALONE, compare = false, log = false }: Props) {
  const { t, locale } = useSpeech();
  const dimension = `bin:${column}`;
  const name = title === undefined ? metricName(column, t) : t(title);
  const answer = useAnswer({ metrics: ["requests"], groupBy: [dimension, ...by], order: by.length === 0 ? dimension : "-requests", limit: by.length === 0 ? 200 : MOST_ROWS, compare });
  const { edges, drawn } = useMemo(() => {
    if (answer.data === undefined) return { edges: [], drawn: [] };
    const named: GroupName = (row) => (by.length === 0 ? name : namesOf(row, by, t, locale));
    const others = (n: number) => t("table.others", { count: n });
    const now = spreadOf(answer.data, dimension, named, others);
    const colours = new Map(now.spreads.map(({ group }, colour) => [group, colour]));
    const spreads: Spread[] = now.spreads.map(({ group, counts }, colour) => ({ name: group, colour, counts }));
    if (!compare) return { edges: now.edges, drawn: spreads };
    const word = t("explore.before");
    const before = spreadOf(answer.data, dimension, named, others, "previous").spreads.flatMap(({ group, counts }): Spread[] => {
      const colour = colours.get(group);
      return colour === undefined ? [] : [{ name: `${group} · ${word}`, colour, counts, dashed: true, hidesWith: by.length === 0 ? [word] : [group, word] }];
    });
    return { edges: now.edges, drawn: [...spreads, ...before] };
  }, [answer.data, dimension, by, name, compare, t, locale]);
  const option = useCallback(
    (paint: Paint) =>
      histogram(
        edges,
        drawn,
        paint,
        {
          edge: (value) => withUnit(value, UNITS.get(column) ?? "ms", locale),
          many: (n) => count(n, locale),
          between: (from, to) => t("chart.between", { from, to }),
          across: name,
          up: t("metric.requests"),
        },
        log,
      ),
    [edges, drawn, column, locale, name, log, t],
  );
  const legend = useMemo(() => {
    const now = drawn.filter(({ dashed }) => dashed !== true);
    return compare ? [...now, { name: t("explore.before"), colour: by.length === 0 ? 0 : 7, dashed: true }] : now;
  }, [drawn, compare, by, t]);
  const heading = by.length === 0 ? `${name} · ${t("explore.histogram")}` : `${t("explore.metricBy", { metric: name, by: by.map((each) => dimensionName(each, t)).join(" · ") })} · ${t("explore.histogram")}`;
  return (
    <ChartCard
      title={heading}
      className={className}
      answer={answer}
      option={option}
      {...(legend.length > 1 ? { legend } : {})}
      nothing={edges.length > 0 ? undefined : t("state.unknown")}
    />
  );
}
