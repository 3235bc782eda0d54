/** A titled box whose drawing can be read as a table, too, saved, and asked for again from a terminal. */
import type * as echarts from "echarts/core";
import { type ReactNode, type RefObject, useId, useState } from "react";

import { address } from "../api/client";
import type { Asked } from "../api/query";
import { useSession } from "../app/session";
import { useSpeech } from "../i18n";
import { copy, curl } from "./copy";
import { asJson, DataTable, type Table } from "./data_table";
import { Legend, type LegendItem } from "./legend";
import { Menu } from "./menu";
import { csv, fileName, save } from "./save";
import { plainTable } from "./tables";

interface CardProps {
  readonly title: string;
  readonly className?: string;
  readonly tools?: ReactNode;
  /** What is shown; its table and its address are offered in the menu. */
  readonly answer?: Asked;
  /** For what is no answer to a question: the path that gave it. */
  readonly source?: string;
  readonly table?: Table | undefined;
  readonly legend?: readonly LegendItem[];
  readonly handle?: RefObject<echarts.ECharts | null>;
  readonly children: ReactNode;
}

export function Card({ title, className = "", tools, answer, source, table = answer?.data && plainTable(answer.data), legend, handle, children }: CardProps) {
  const [asTable, setAsTable] = useState(false);
  const id = useId();
  return (
    <section className={`card ${className}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {tools}
        <CardMenu title={title} table={table} asked={answer?.address ?? (source === undefined ? undefined : address(source))} handle={asTable ? undefined : handle} {...(handle === undefined ? {} : { asTable, setAsTable })} />
      </header>
      {asTable && table !== undefined ? (
        <DataTable table={table} label={title} />
      ) : (
        <>
          {legend !== undefined && <Legend items={legend} />}
          {children}
        </>
      )}
    </section>
  );
}

interface MenuProps {
  readonly title: string;
  readonly table: Table | undefined;
  readonly asked: string | undefined;
  readonly handle: CardProps["handle"] | undefined;
  readonly asTable?: boolean;
  readonly setAsTable?: (on: boolean) => void;
}

function CardMenu({ title, table, asked, handle, asTable, setAsTable }: MenuProps) {
  const { t } = useSpeech();
  const session = useSession();
  if (table === undefined && asked === undefined) return null;
  const picture = () => {
    const url = handle?.current?.getDataURL({ type: "png", pixelRatio: 2, backgroundColor: getComputedStyle(document.documentElement).getPropertyValue("--surface") });
    if (url !== undefined) void fetch(url).then(async (answer) => save(fileName(title, "png"), "image/png", await answer.blob()));
  };
  const items: readonly (readonly [string, (() => unknown) | undefined])[] = [
    [t(asTable === true ? "chart.asChart" : "chart.asTable"), setAsTable && table && (() => setAsTable(asTable !== true))],
    [t("chart.savePng"), handle && picture],
    [t("chart.saveCsv"), table && (() => save(fileName(title, "csv"), "text/csv", csv(table.head, table.rows)))],
    [t("chart.saveJson"), table && (() => save(fileName(title, "json"), "application/json", asJson(table)))],
    [t("table.copyCurl"), asked === undefined ? undefined : (() => copy(curl(asked, session.data?.signed_in === true)))],
  ];
  return (
    <Menu label="⋯" name={`${title}: ${t("chart.menu")}`} bare>
      {items.map(
        ([label, act]) =>
          act !== undefined && (
            <button key={label} type="button" className="button bare" onClick={act}>
              {label}
            </button>
          ),
      )}
    </Menu>
  );
}
