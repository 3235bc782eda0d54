/** Records as rows, of which only those in sight are drawn. */
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef } from "react";

import type { Record_ } from "../api/records";
import { useView } from "../app/view";
import { rowMoment } from "../format/times";
import { useSpeech } from "../i18n";
import { keyOf } from "../state/tail";
import type { RequestColumn } from "./request_columns";

const ROW_PX = 33;
const NEAR_THE_END = 20;

const keyAt = (rows: readonly Record_[], index: number): string | number => {
  const row = rows[index];
  return row === undefined ? index : keyOf(row);
};

interface Props {
  readonly rows: readonly Record_[];
  readonly columns: readonly RequestColumn[];
  /** The last rows are in sight. */
  readonly onEnd: () => void;
}

export function RequestTable({ rows, columns, onEnd }: Props) {
  const { t, locale } = useSpeech();
  const { change, zone } = useView();
  const box = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => box.current, estimateSize: () => ROW_PX, overscan: 12, getItemKey: (index) => keyAt(rows, index) });
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (last >= rows.length - NEAR_THE_END) onEnd();
  }, [last, rows.length, onEnd]);

  const text = (row: Record_, { name, show }: RequestColumn): string => {
    const value = row[name] ?? null;
    if (name === "timestamp") return rowMoment(String(value), locale, zone);
    if (show !== undefined) return show(typeof value === "number" ? value : null, locale);
    return value === null ? "–" : String(value);
  };
  const template = { gridTemplateColumns: columns.map(({ widthPx }) => `minmax(${widthPx}px, ${widthPx}fr)`).join(" ") };
  const cellClass = (column: RequestColumn) => `${column.show === undefined ? "" : "number"} ${column.name === "outcome" ? "outcome" : ""}`.trim();

  return (
    <div className="card requests" ref={box} tabIndex={0} role="group" aria-label={t("nav.requests")}>
      <div role="table" aria-label={t("nav.requests")} aria-rowcount={rows.length + 1} style={{ minWidth: columns.reduce((sum, { widthPx }) => sum + widthPx, 16) }}>
        <div role="rowgroup" className="head">
          <div role="row" aria-rowindex={1} className="tr" style={template}>
            {columns.map((column) => (
              <span role="columnheader" key={column.name} className={cellClass(column)} title={column.name}>
                {column.label === undefined ? column.name : t(column.label)}
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
