/** A titled box whose drawing can be read as a table, too, saved, and asked for again from a terminal. */
import { type ReactNode, useId, useMemo, useState } from "react";

import { address } from "../api/client";
import type { Asked } from "../api/query";
import { useSession } from "../app/session";
import { useView } from "../app/view";
import { useSpeech } from "../i18n";
import { copy, curl } from "./copy";
import { asJson, DataTable } from "./data_table";
import { type Chosen, Legend } from "./legend";
import { Menu } from "./menu";
import { csv, fileName, save, tabbed } from "./save";
import { plainTable, type Table } from "./tables";

interface CardProps {
  readonly title: string;
  readonly className?: string;
  readonly tools?: ReactNode;
  /** What is shown; its table and its address are offered in the menu. */
  readonly answer?: Asked;
  /** For what is no answer to a question: the path that gave it. */
  readonly source?: string;
  readonly table?: Table | undefined;
  readonly legend?: Chosen;
  /** What is drawn, as the address of a PNG: of cards that can also be read as a table. */
  readonly picture?: () => string | undefined;
  /** Can be read as a table though no picture of it is saved. */
  readonly isDrawing?: boolean;
  readonly children: ReactNode;
}

export function Card({ title, className = "", tools, answer, source, table: given, legend, picture, isDrawing = picture !== undefined, children }: CardProps) {
  const [asTable, setAsTable] = useState(false);
  const id = useId();
  const { t, locale } = useSpeech();
  const { zone } = useView();
  const data = answer?.data;
  const table = useMemo(() => given ?? (data && plainTable(data, { t, locale, zone })), [given, data, t, locale, zone]);
  return (
    <section className={`card ${className}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {tools}
        <CardMenu title={title} table={table} asked={answer?.address ?? (source === undefined ? undefined : address(source))} picture={asTable ? undefined : picture} {...(isDrawing ? { asTable, setAsTable } : {})} />
      </header>
      {asTable && table !== undefined ? (
        <DataTable table={table} label={title} />
      ) : (
        <>
          {legend !== undefined && <Legend {...legend} />}
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
  readonly picture: CardProps["picture"] | undefined;
  readonly asTable?: boolean;
  readonly setAsTable?: (on: boolean) => void;
}

function CardMenu({ title, table, asked, picture, asTable, setAsTable }: MenuProps) {
  const { t } = useSpeech();
  const session = useSession();
  if (table === undefined && asked === undefined) return null;
  const savePicture = () => {
    const url = picture?.();
    if (url !== undefined) void fetch(url).then(async (answer) => save(fileName(title, "png"), "image/png", await answer.blob()));
  };
  const items: readonly (readonly [string, (() => unknown) | undefined])[] = [
    [t(asTable === true ? "chart.asChart" : "chart.asTable"), setAsTable && table && (() => setAsTable(asTable !== true))],
    [t("chart.savePng"), picture && savePicture],
    [t("chart.copyTable"), table && (() => copy(tabbed(table.shown?.head.map(({ name, unit }) => (unit ? `${name} (${unit})` : name)) ?? table.head, table.shown?.rows ?? table.rows)))],
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
