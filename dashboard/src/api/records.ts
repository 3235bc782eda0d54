/** The list of records: pages from the store, and before them what has arrived since. */
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";

import { useView } from "../app/view";
import { formatRange, instants } from "../state/range";
import { filtersOf } from "../state/search";
import { MOST_ROWS } from "../state/tail";
import { get } from "./client";
import { useTail } from "./live";
import type { components } from "./schema";

export type Record_ = Readonly<Record<string, string | number | boolean | null>>;
type Page = components["schemas"]["RequestPage"];

const PAGE = 200;

/** Pages belong to the moment at which live began, and do not move under a reader; pausing keeps all as it is. */
function useAnchor(key: string, live: boolean): number {
  const [anchor, setAnchor] = useState(() => Date.now());
  useEffect(() => {
    if (live) setAnchor(Date.now());
  }, [live, key]);
  return anchor;
}

export function useRecords() {
  const { search, range, live } = useView();
  const filters = filtersOf(search);
  const running = live && range.kind === "relative";
  const key = JSON.stringify([filters, formatRange(range)]);
  const anchor = useAnchor(key, running);
  const selection = useMemo(() => ({ ...(JSON.parse(key) as [Record<string, string>])[0], ...instants(range, anchor) }), [key, range, anchor]);
  const pages = useInfiniteQuery({
    queryKey: ["requests", selection],
    queryFn: ({ pageParam, signal }) => get<Page>("/api/v1/requests", { ...selection, limit: PAGE, cursor: pageParam }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor ?? null,
    staleTime: Infinity,
    placeholderData: keepPreviousData,
  });
  const tail = useTail(filters, running);
  // so many have come that some lie between the tail and the pages: what follows the tail would not be what came before it
  const cut = tail.rows.length >= MOST_ROWS || tail.skipped > 0;
  const rows = useMemo(() => {
    if (cut) return tail.rows as readonly Record_[];
    const stored = (pages.data?.pages ?? []).flatMap((page) => page.items as unknown as Record_[]);
    if (tail.rows.length === 0) return stored;
    const ids = new Set(tail.rows.map((row) => row.id));
    return [...(tail.rows as readonly Record_[]), ...stored.filter((row) => !ids.has(Number(row["id"])))];
  }, [pages.data, tail.rows, cut]);
  return { pages, rows, connected: tail.connected, skipped: tail.skipped, cut, selection };
}
