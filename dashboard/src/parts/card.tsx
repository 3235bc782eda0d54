/** A titled box whose drawing can be read as a table, too, and saved. */
import type * as echarts from "echarts/core";
import { type ReactNode, type RefObject, useId, useState } from "react";

import { useSpeech } from "../i18n";
import { csv, save } from "./save";

export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly (string | number | boolean | null)[])[];
  /** How a cell is shown; files get the value itself. */
  readonly show?: (value: string | number | boolean | null, column: number) => string;
}

interface CardProps {
  readonly title: string;
  readonly className?: string;
  readonly tools?: ReactNode;
  readonly table?: Table | undefined;
  readonly handle?: RefObject<echarts.ECharts | null>;
  readonly children: ReactNode;
}

function fileName(title: string): string {
  return title.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, "-");
}

export function Card({ title, className = "", tools, table, handle, children }: CardProps) {
  const { t } = useSpeech();
  const [asTable, setAsTable] = useState(false);
  const id = useId();
  const picture = () => {
    const url = handle?.current?.getDataURL({ type: "png", pixelRatio: 2, backgroundColor: getComputedStyle(document.documentElement).getPropertyValue("--surface") });
    if (url !== undefined) void fetch(url).then(async (answer) => save(`${fileName(title)}.png`, "image/png", await answer.blob()));
  };
  return (
    <section className={`card ${className}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {tools}
        {table !== undefined && (
          <details className="menu">
            <summary className="button bare" aria-label={`${title}: …`}>
              ⋯
            </summary>
            <div className="menu-items">
              <button type="button" className="button bare" onClick={() => setAsTable(!asTable)}>
                {t(asTable ? "chart.asChart" : "chart.asTable")}
              </button>
              {handle !== undefined && !asTable && (
                <button type="button" className="button bare" onClick={picture}>
                  {t("chart.savePng")}
                </button>
              )}
              <button type="button" className="button bare" onClick={() => save(`${fileName(title)}.csv`, "text/csv", csv(table.head, table.rows))}>
                {t("chart.saveCsv")}
              </button>
              <button type="button" className="button bare" onClick={() => save(`${fileName(title)}.json`, "application/json", asJson(table))}>
                {t("chart.saveJson")}
              </button>
            </div>
          </details>
        )}
      </header>
      {asTable && table !== undefined ? <DataTable table={table} /> : children}
    </section>
  );
}

function asJson(table: Table): string {
  return JSON.stringify(table.rows.map((row) => Object.fromEntries(table.head.map((name, column) => [name, row[column]]))), null, 2);
}

export function DataTable({ table }: { table: Table }) {
  const show = table.show ?? ((value) => (value === null ? "–" : String(value)));
  return (
    <div className="scroll" tabIndex={0} style={{ maxHeight: 420 }}>
      <table>
        <thead>
          <tr>
            {table.head.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.rows.map((row, index) => (
            <tr key={index}>
              {row.map((value, column) => (
                <td key={column} className={typeof value === "number" ? "number" : ""}>
                  {show(value, column)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
