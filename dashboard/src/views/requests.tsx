/** Every record: a table of any length, a live tail that can be paused, and one record in full. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState } from "react";

import { get } from "../api/client";
import { useTail } from "../api/live";
import { useSelection } from "../api/query";
import type { components } from "../api/schema";
import { useView } from "../app/view";
import { bytes, count, duration, rate, usd } from "../format/numbers";
import { moment } from "../format/times";
import { useSpeech } from "../i18n";
import { csv, save } from "../parts/save";
import { Empty, Failed, Loading } from "../parts/states";
import { filtersOf } from "../state/search";
import { RequestDetail } from "./request_detail";

type Page = components["schemas"]["RequestPage"];
type RowOf = Readonly<Record<string, string | number | boolean | null>>;
type Show = (value: number | null, locale: string) => string;

const SHOWN: Readonly<Record<string, Show>> = {
  response_time_ms: duration,
  time_to_first_token_ms: duration,
  time_to_last_token_ms: duration,
  proxy_overhead_ms: duration,
  output_tokens_per_second: rate,
  tokens_per_second: rate,
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count,
  request_bytes: bytes,
  response_bytes: bytes,
  cost_usd: usd,
};
const COLUMNS = [
  "timestamp", "model", "outcome", "status_code", "response_time_ms", "time_to_first_token_ms", "output_tokens_per_second",
  "prompt_tokens", "completion_tokens", "origin", "error_type", "backend_name", "endpoint", "user", "api_key_id", "tags",
  "is_streaming", "finish_reason", "total_tokens", "tokens_per_second", "cost_usd", "request_bytes", "response_bytes",
  "proxy_overhead_ms", "trace_id", "request_id", "app_version", "error_message",
] as const;
const FIRST = COLUMNS.slice(0, 10);
const ROW_PX = 33;
const PAGE = 200;

function useRows(live: boolean) {
  const selection = useSelection();
  const { search } = useView();
  const filters = filtersOf(search);
  const pages = useInfiniteQuery({
    queryKey: ["requests", filters, selection["start"], selection["end"]],
    queryFn: ({ pageParam, signal }) => get<Page>("/api/v1/requests", { ...selection, limit: PAGE, cursor: pageParam }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor ?? null,
    staleTime: Infinity,
  });
  const tail = useTail({ ...filters }, live);
  const rows = useMemo(() => {
    const stored = (pages.data?.pages ?? []).flatMap((page) => page.items as unknown as RowOf[]);
    if (tail.rows.length === 0) return stored;
    const ids = new Set(tail.rows.map((row) => row.id));
    return [...(tail.rows as readonly RowOf[]), ...stored.filter((row) => !ids.has(Number(row["id"])))];
  }, [pages.data, tail.rows]);
  return { pages, rows, connected: tail.connected };
}

export default function Requests() {
  const { t, locale } = useSpeech();
  const { search, change, zone, range } = useView();
  const [live, setLive] = useState(range.kind === "relative");
  const { pages, rows, connected } = useRows(live && range.kind === "relative");
  const columns = useMemo(() => {
    const asked = search.columns?.split(",").filter((name) => (COLUMNS as readonly string[]).includes(name));
    return asked === undefined || asked.length === 0 ? FIRST : asked;
  }, [search.columns]);
  const box = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => box.current, estimateSize: () => ROW_PX, overscan: 12 });
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (last >= rows.length - 20 && pages.hasNextPage && !pages.isFetchingNextPage) void pages.fetchNextPage();
  }, [last, rows.length, pages]);

  const cell = (row: RowOf, name: string): string => {
    const value = row[name] ?? null;
    if (name === "timestamp") return moment(String(value), locale, zone);
    const show = SHOWN[name];
    if (show !== undefined) return show(typeof value === "number" ? value : null, locale);
    return value === null ? "–" : String(value);
  };
  const pick = (name: string, on: boolean) => change({ columns: COLUMNS.filter((each) => (each === name ? on : columns.includes(each))).join(",") });

  return (
    <>
      <div className="bar">
        <button type="button" className="button" aria-pressed={live} onClick={() => setLive(!live)} disabled={range.kind === "fixed"}>
          <span className={`dot ${live && connected ? "good" : ""}`} style={{ display: "inline-block", marginInlineEnd: 7 }} />
          {t(live ? "live.pause" : "live.resume")}
        </button>
        <details className="menu">
          <summary className="button">{t("table.columns")}</summary>
          <div className="menu-items columns">
            {COLUMNS.map((name) => (
              <label key={name}>
                <input type="checkbox" checked={columns.includes(name)} onChange={(event) => pick(name, event.target.checked)} /> {name}
              </label>
            ))}
          </div>
        </details>
        <button type="button" className="button" onClick={() => save("requests.csv", "text/csv", csv(columns, rows.map((row) => columns.map((name) => row[name]))))}>
          {t("chart.saveCsv")}
        </button>
      </div>
      {pages.error !== null && rows.length === 0 && <Failed error={pages.error} retry={() => void pages.refetch()} />}
      {pages.isPending && <Loading />}
      {pages.isSuccess && rows.length === 0 && <Empty />}
      {rows.length > 0 && (
        <div className="card requests" ref={box} tabIndex={0} role="region" aria-label={t("nav.requests")}>
          <div role="table" aria-rowcount={rows.length} style={{ minWidth: columns.length * 128 }}>
            <div role="row" className="tr head" style={{ gridTemplateColumns: `repeat(${columns.length}, minmax(112px, 1fr))` }}>
              {columns.map((name) => (
                <span role="columnheader" key={name}>
                  {name}
                </span>
              ))}
            </div>
            <div style={{ height: virtual.getTotalSize(), position: "relative" }}>
              {items.map((item) => {
                const row = rows[item.index];
                if (row === undefined) return null;
                return (
                  <div
                    key={String(row["id"])}
                    role="row"
                    aria-rowindex={item.index + 2}
                    className={`tr ${row["success"] === true ? "" : "failed"}`}
                    style={{ gridTemplateColumns: `repeat(${columns.length}, minmax(112px, 1fr))`, transform: `translateY(${item.start}px)` }}
                  >
                    {columns.map((name, index) => (
                      <span role="cell" key={name} title={String(row[name] ?? "")}>
                        {index === 0 ? (
                          <button type="button" className="link" onClick={() => change({ id: String(row["request_id"] ?? row["id"]) })}>
                            {cell(row, name)}
                          </button>
                        ) : (
                          cell(row, name)
                        )}
                      </span>
                    ))}
                  </div>
                );
              })}
            </div>
          </div>
        </div>
      )}
      {search.id !== undefined && <RequestDetail key={search.id} id={search.id} />}
    </>
  );
}
