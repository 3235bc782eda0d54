/** A dimension's values side by side in a table: sortable, a click on a name filters the page by it. */
import { useState } from "react";

import { useAnswer, useComparable } from "../api/query";
import { useView } from "../app/view";
import { columnOf } from "../format/columns";
import { count, unitOf } from "../format/numbers";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { ESTIMATED, GOOD, isCost, METRIC_WORDS, type Measured, MINOR } from "../views/cards";
import { Card } from "./card";
import { Delta } from "./moved";
import { filterOf, nameOf } from "./names";
import { Loaded } from "./states";

interface Props {
  readonly title: Key;
  /** Of the card; else that of its first column. */
  readonly heading?: Key;
  readonly dimension: string;
  readonly metrics: readonly Measured[];
  readonly limit?: number;
}

export function Comparison({ title, heading, dimension, metrics, limit = 50 }: Props) {
  const { t, locale } = useSpeech();
  const { search, change } = useView();
  const [all, setAll] = useState(false);
  const [order, setOrder] = useState(`-${metrics[0] ?? "requests"}`);
  const asked = metrics.some(isCost) ? [...metrics, ESTIMATED] : metrics;
  const answer = useAnswer({ metrics: asked, groupBy: [dimension], order, limit, compare: useComparable() });
  const classOf = (metric: Measured) => (MINOR.has(metric) ? "number minor" : "number");
  const tools = metrics.some((metric) => MINOR.has(metric)) && (
    <button type="button" className="button bare more-columns" aria-pressed={all} onClick={() => setAll(!all)}>
      {t(all ? "table.fewerColumns" : "table.allColumns")}
    </button>
  );
  return (
    <Card title={t(heading ?? title)} className={all ? "compared all" : "compared"} tools={tools} answer={answer}>
      <Loaded from={answer} empty={(data) => data.records === 0}>
        {(data) => {
          const shown = new Map(metrics.map((metric) => [metric, columnOf(data.rows.map((row) => row.values[metric]?.value), unitOf(data.columns, metric), locale)]));
          return (
            <div className="scroll table-box" tabIndex={0} role="group" aria-label={t(heading ?? title)}>
              <table>
                <thead>
                  <tr>
                    <th scope="col">{t(title)}</th>
                    {metrics.map((metric) => {
                      const direction = order === `-${metric}` ? "descending" : order === metric ? "ascending" : "none";
                      return (
                        <th key={metric} scope="col" className={classOf(metric)} aria-sort={direction}>
                          <button type="button" onClick={() => setOrder(direction === "descending" ? metric : `-${metric}`)}>
                            {t(METRIC_WORDS[metric])}
                            {direction === "descending" ? "\u00a0▾" : direction === "ascending" ? "\u00a0▴" : ""}
                          </button>
                        </th>
                      );
                    })}
                  </tr>
                </thead>
                <tbody>
                  {data.rows.map((row, index) => {
                    const name = nameOf(row, dimension, t);
                    const filter = row.merged === 0 ? filterOf(dimension, row.key[dimension], search.tag) : null;
                    return (
                      <tr key={`${index} ${name}`}>
                        <th scope="row">
                          {filter === null ? (
                            <span className="name">{name}</span>
                          ) : (
                            <button type="button" className="link" onClick={() => change(filter)} title={name}>
                              <span className="name">{name}</span>
                            </button>
                          )}
                        </th>
                        {metrics.map((metric) => {
                          const cell = row.values[metric];
                          return (
                            <td key={metric} className={classOf(metric)} title={cell === undefined ? undefined : t("metric.n", { n: count(cell.n, locale) })}>
                              {isCost(metric) && (row.values[ESTIMATED]?.value ?? 0) !== 0 && (cell?.value ?? null) !== null && "≈ "}
                              {shown.get(metric)?.(cell?.value)}
                              <Delta row={row} cell={cell} isFirst={metric === metrics[0]} good={GOOD[metric] ?? "none"} rate={unitOf(data.columns, metric) === "ratio"} show={(value) => shown.get(metric)?.(value) ?? ""} />
                            </td>
                          );
                        })}
                      </tr>
                    );
                  })}
                </tbody>
              </table>
            </div>
          );
        }}
      </Loaded>
    </Card>
  );
}
