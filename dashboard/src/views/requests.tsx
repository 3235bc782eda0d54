/** Every record: a table of any length, a live tail that can be paused, and files of all that is selected. */
import { useCallback, useMemo } from "react";

import { address } from "../api/client";
import { useRecords } from "../api/records";
import { useNarrow } from "../app/media";
import { useSession } from "../app/session";
import { useView } from "../app/view";
import { count } from "../format/numbers";
import { useSpeech } from "../i18n";
import { copy, curl } from "../parts/copy";
import { Menu } from "../parts/menu";
import { columnsOf, REQUEST_COLUMNS, withColumn } from "../parts/request_columns";
import { RequestTable } from "../parts/request_table";
import { Empty, Failed, Loading } from "../parts/states";
import { columnOf, NEWEST, ORDERS } from "../state/order";

/** The formats of /api/v1/export, which gives all records that are selected, of any number. */
const FILES = ["csv", "jsonl", "parquet"] as const;

export default function Requests() {
  const { t, locale } = useSpeech();
  const { search, change, live, range } = useView();
  const session = useSession();
  const { pages, rows, connected, skipped, cut, selection, order } = useRecords();
  const narrow = useNarrow(640);
  const columns = useMemo(() => columnsOf(search.columns, columnOf(order), narrow), [search.columns, order, narrow]);
  const sort = useCallback((by: string) => change({ order: by === NEWEST ? undefined : by }), [change]);
  const more = useCallback(() => {
    if (!cut && pages.hasNextPage && !pages.isFetchingNextPage) void pages.fetchNextPage();
  }, [cut, pages]);
  const following = live && range.kind === "relative";
  const sorted = REQUEST_COLUMNS.find(({ name }) => name === columnOf(order));

  return (
    <>
      <div className="bar">
        <div className="segments" role="group" aria-label={t("order.label")}>
          {ORDERS.map((each) => (
            <button key={each.order} type="button" aria-pressed={each.order === order} onClick={() => sort(each.order)}>
              {t(each.label)}
            </button>
          ))}
        </div>
        <span role="status" className="muted">
          {order === NEWEST ? (
            <>
              <span className={`dot ${following && connected ? "good" : ""}`} />
              {t(range.kind === "fixed" ? "range.fixed" : following ? (connected ? "live.on" : "state.loading") : "live.paused")}
            </>
          ) : (
            t("order.sortedBy", { name: sorted?.label === undefined ? columnOf(order) : t(sorted.label) })
          )}
          {" · "}
          {t("table.shown", { count: count(rows.length, locale) })}
          {skipped > 0 && ` · ${t("table.skipped", { count: count(skipped, locale) })}`}
          {cut && ` · ${t("table.cut")}`}
        </span>
        <Menu label={t("table.columns")}>
          {REQUEST_COLUMNS.map(({ name, label }) => (
            <label key={name}>
              <input type="checkbox" checked={columns.some((column) => column.name === name)} onChange={(event) => change({ columns: withColumn(columns, name, event.target.checked) })} />{" "}
              {label === undefined ? name : t(label)}
            </label>
          ))}
        </Menu>
        <Menu label={t("table.export")}>
          {FILES.map((format) => (
            <a key={format} className="button bare" href={address("/api/v1/export", { ...selection, format })} download>
              {format}
            </a>
          ))}
          <button type="button" className="button bare" onClick={() => void copy(curl(address("/api/v1/requests", { ...selection, ...(order === NEWEST ? {} : { order }) }), session.data?.signed_in === true))}>
            {t("table.copyCurl")}
          </button>
        </Menu>
      </div>
      {pages.error !== null && rows.length === 0 && <Failed error={pages.error} retry={() => void pages.refetch()} />}
      {pages.isPending && rows.length === 0 && <Loading />}
      {pages.isSuccess && rows.length === 0 && <Empty />}
      {rows.length > 0 && <RequestTable rows={rows} columns={columns} order={order} sort={sort} onEnd={more} />}
    </>
  );
}
