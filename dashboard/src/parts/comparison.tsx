/** A dimension's values side by side in a table: sortable, a click on a name filters the page by it. */
import { useState } from "react";

import { useAnswer } from "../api/query";
import { useView } from "../app/view";
import { unitOf, withUnit } from "../format/numbers";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { type FilterName, FILTER_NAMES } from "../state/search";
import { METRIC_WORDS, type Measured } from "../views/cards";
import { Card } from "./card";
import { nameOf } from "./names";
import { Loaded } from "./states";

interface Props {
  readonly title: Key;
  readonly dimension: string;
  readonly metrics: readonly Measured[];
  readonly limit?: number;
}

export function Comparison({ title, dimension, metrics, limit = 50 }: Props) {
  const { t, locale } = useSpeech();
  const { change } = useView();
  const [order, setOrder] = useState(`-${metrics[0] ?? "requests"}`);
  const answer = useAnswer({ metrics, groupBy: [dimension], order, limit });
  const filterable = FILTER_NAMES.includes(dimension as FilterName);
  return (
    <Card title={t(title)} className="compared" answer={answer}>
      <Loaded from={answer} empty={(data) => data.records === 0}>
        {(data) => (
          <div className="scroll table-box" tabIndex={0} role="group" aria-label={t(title)}>
            <table>
              <thead>
                <tr>
                  <th scope="col">{t(title)}</th>
                  {metrics.map((metric) => {
                    const direction = order === `-${metric}` ? "descending" : order === metric ? "ascending" : "none";
                    return (
                      <th key={metric} scope="col" className="number" aria-sort={direction}>
                        <button type="button" onClick={() => setOrder(direction === "descending" ? metric : `-${metric}`)}>
                          {t(METRIC_WORDS[metric])} {direction === "descending" ? "▾" : direction === "ascending" ? "▴" : ""}
                        </button>
                      </th>
                    );
                  })}
                </tr>
              </thead>
              <tbody>
                {data.rows.map((row, index) => {
                  const value = row.key[dimension];
                  const name = nameOf(row, dimension, t);
                  return (
                    <tr key={`${index} ${name}`}>
                      <th scope="row">
                        {filterable && row.merged === 0 && value !== null && value !== undefined ? (
                          <button type="button" className="link" onClick={() => change({ [dimension]: name })} title={name}>
                            <span className="name">{name}</span>
                          </button>
                        ) : (
                          <span className="name">{name}</span>
                        )}
                      </th>
                      {metrics.map((metric) => {
                        const cell = row.values[metric];
                        const unit = unitOf(data.columns, metric);
                        return (
                          <td key={metric} className="number" title={cell === undefined ? undefined : t("metric.n", { n: cell.n })}>
                            {withUnit(cell?.value, unit, locale)}
                          </td>
                        );
                      })}
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </div>
        )}
      </Loaded>
    </Card>
  );
}
