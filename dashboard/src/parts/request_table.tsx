/** Records as rows, of which only those in sight are drawn. */
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef } from "react";

import type { Record_ } from "../api/records";
import { useView } from "../app/view";
import { columnOf as writtenAlike } from "../format/columns";
import { rowMoment } from "../format/times";
import { useSpeech } from "../i18n";
import { clicked, columnOf, isDescending } from "../state/order";
import { keyOf } from "../state/tail";
import { type RequestColumn, roomFor } from "./request_columns";

const ROW_PX = 33;
const NEAR_THE_END = 20;

const keyAt = (rows: readonly Record_[], index: number): string | number => {
  const row = rows[index];
  return row === undefined ? index : keyOf(row);
};

const numberIn = (row: Record_, name: string): number | null => {
  const value = row[name];
  return typeof value === "number" ? value : null;
};

interface Props {
  readonly rows: readonly Record_[];
  readonly columns: readonly RequestColumn[];
  /** What they are sorted by; without `sort` they cannot be. */
  readonly order?: string;
  readonly sort?: (order: string) => void;
  /** The last rows are in sight. */
  readonly onEnd: () => void;
}

export function RequestTable({ rows, columns, order = "", sort, onEnd }: Props) {
  const { t, locale } = useSpeech();
  const { change, zone } = useView();
  const box = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => box.current, estimateSize: () => ROW_PX, overscan: 12, getItemKey: (index) => keyAt(rows, index) });
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (box.current !== null) box.current.scrollTop = 0;
  }, [order]);
  useEffect(() => {
    if (last >= rows.length - NEAR_THE_END) onEnd();
  }, [last, rows.length, onEnd]);

  const shown = useMemo(() => new Map(columns.map(({ name, unit }) => [name, unit === undefined ? undefined : writtenAlike(rows.map((row) => numberIn(row, name)), unit, locale)])), [rows, columns, locale]);
  const text = (row: Record_, { name, hidesZero }: RequestColumn): string => {
    const value = row[name] ?? null;
    if (name === "timestamp") return rowMoment(String(value), locale, zone);
    const show = shown.get(name);
    if (show !== undefined) return hidesZero && value === 0 ? "" : show(numberIn(row, name));
    return value === null ? "–" : String(value);
  };
  const heading = ({ name, label }: RequestColumn) => (label === undefined ? name : t(label));
  const roomy = (column: RequestColumn) => roomFor(column.widthPx, heading(column), columnOf(order) === column.name, column.name === "timestamp" ? rowMoment(String(rows[0]?.["timestamp"] ?? ""), locale, zone) : "");
  const template = { gridTemplateColumns: columns.map((column) => `minmax(${roomy(column)}px, ${roomy(column)}fr)`).join(" ") };
  const cellClass = (column: RequestColumn) => `${column.unit === undefined ? "" : "number"} ${column.name === "outcome" ? "outcome" : ""}`.trim();

  return (
    <div className="card requests" ref={box} tabIndex={0} role="group" aria-label={t("nav.requests")}>
      <div role="table" aria-label={t("nav.requests")} aria-rowcount={rows.length + 1} style={{ minWidth: columns.reduce((sum, column) => sum + roomy(column), 16) }}>
        <div role="rowgroup" className="headings">
          <div role="row" aria-rowindex={1} className="tr" style={template}>
            {columns.map((column) => (
              <span role="columnheader" key={column.name} className={cellClass(column)} title={column.name} {...(columnOf(order) === column.name ? { "aria-sort": isDescending(order) ? "descending" : "ascending" } : {})}>
                {sort === undefined ? (
                  heading(column)
                ) : (
                  <button type="button" onClick={() => sort(clicked(order, column.name, column.unit !== undefined))}>
                    {heading(column)}
                    {columnOf(order) === column.name && <span aria-hidden="true"> {isDescending(order) ? "↓" : "↑"}</span>}
                  </button>
                )}
              </span>
            ))}
          </div>
        </div>
        <div role="rowgroup" className="body" style={{ height: virtual.getTotalSize(), position: "relative" }}>
          {items.map((item) => {
            const row = rows[item.index];
            if (row === undefined) return null;
            return (
              <div
                key={item.key}
                role="row"
                aria-rowindex={item.index + 2}
                className={`tr ${row["success"] === true ? "" : "failed"}`}
                style={{ ...template, transform: `translateY(${item.start}px)` }}
              >
                {columns.map((column, index) => (
                  <span role="cell" key={column.name} className={cellClass(column)} title={String(row[column.name] ?? "")}>
                    {index === 0 ? (
                      <button type="button" className="link" onClick={() => change({ id: String(row["request_id"] ?? row["arrival"]) })}>
                        {text(row, column)}
                      </button>
                    ) : (
                      text(row, column)
                    )}
                  </span>
                ))}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}
