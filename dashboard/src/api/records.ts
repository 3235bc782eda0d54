/** The list of records: pages from the store, and before them what has arrived since. */
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";

import { useView } from "../app/view";
import { NEWEST } from "../state/order";
import { formatRange, instants } from "../state/range";
import { type Filters, filtersOf } from "../state/search";
import { keyOf, MOST_ROWS } from "../state/tail";
import { get } from "./client";
import { useKept } from "./kept";
import { useTail } from "./live";
import type { components } from "./schema";

export type Record_ = Readonly<Record<string, string | number | boolean | null>>;
type Page = components["schemas"]["RequestPage"];

const PATH = "/api/v1/requests";
const PAGE = 200;

/** Pages belong to one moment and do not move under a reader: when the stream began, or when the tail was let go. */
function useAnchor(key: string, begun: number, whole: boolean): number {
  const [anchor, setAnchor] = useState(() => Date.now());
  useEffect(() => setAnchor(Date.now()), [key, begun, whole]);
  return anchor;
}

export function useRecords() {
  const { search, range, live } = useView();
  const filters = filtersOf(search);
  const order = search.order ?? NEWEST;
  const running = live && range.kind === "relative" && order === NEWEST; // new records have no place of their own in another order
  const key = JSON.stringify([filters, formatRange(range)]);
  const tail = useTail(filters, running);
  // so many have come that some lie between the tail and the pages: what follows the tail would not be what came before it
  const cut = tail.rows.length >= MOST_ROWS || tail.skipped > 0;
  const whole = cut && !running;
  const anchor = useAnchor(`${key} ${order}`, running ? tail.begun : 0, whole);
  const selection = useMemo(() => ({ ...(JSON.parse(key) as [Filters])[0], ...instants(range, anchor) }), [key, range, anchor]);
  const asked = useInfiniteQuery({
    queryKey: ["requests", selection, anchor, order],
    queryFn: ({ pageParam, signal }) => get<Page>(PATH, { ...selection, ...(order === NEWEST ? {} : { order }), limit: PAGE, cursor: pageParam }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor ?? null,
    staleTime: Infinity,
    gcTime: 0, // pages of a moment that is over are never asked for again
    enabled: !running || tail.begun > 0,
    placeholderData: keepPreviousData,
  });
  const pages = useKept(asked, PATH, { ...selection, order });
  const rows = useMemo(() => {
    const stored = (pages.data?.pages ?? []).flatMap((page) => page.items as unknown as Record_[]);
    if (order !== NEWEST) return stored;
    if (cut && !whole) return tail.rows as readonly Record_[];
    if (tail.rows.length === 0 || whole) return stored;
    const there = new Set(tail.rows.map(keyOf));
    return [...(tail.rows as readonly Record_[]), ...stored.filter((row) => !there.has(keyOf(row)))];
  }, [pages.data, tail.rows, cut, whole, order]);
  return { pages, rows, connected: tail.connected, skipped: whole || order !== NEWEST ? 0 : tail.skipped, cut: cut && !whole && order === NEWEST, selection, order };
}
