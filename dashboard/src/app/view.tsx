/** What every view knows: the link's words, the range, the zone, and the moment that it shows. */
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";

import { formatRange, type Range, stepMs, stepped } from "../state/range";
import { localZone, parseSearch, rangeOf, type Search } from "../state/search";

export interface View {
  readonly search: Search;
  readonly range: Range;
  readonly zone: string;
  /** Moves on its own while live, by whole steps of the range: questions asked within one are the same question. */
  readonly nowMs: number;
  readonly live: boolean;
  readonly setLive: (live: boolean) => void;
  /** Change words of the link; `undefined` takes one out. */
  readonly change: (words: { readonly [Name in keyof Search]?: Search[Name] | undefined }) => void;
}

/** What the keys of all questions begin with that move with the moment shown. */
export const QUERIES = "query";

export const ViewContext = createContext<View | null>(null);

export function Viewed({ children }: { children: ReactNode }) {
  const raw = useSearch({ strict: false });
  const navigate = useNavigate();
  const search = useMemo(() => parseSearch(raw as Record<string, unknown>), [raw]);
  const range = useMemo(() => rangeOf(search), [search]);
  const client = useQueryClient();
  const [live, setLive] = useState(true);
  const [nowMs, setNowMs] = useState(() => stepped(Date.now(), range));
  const rangeText = formatRange(range);

  useEffect(() => setNowMs(stepped(Date.now(), range)), [rangeText, live]);
  useEffect(() => {
    if (!live || range.kind === "fixed") return undefined;
    let timer = 0;
    const show = () => {
      // nobody asks for a page that nobody sees, nor anew while answers are on their way: a server that is slow would be slower
      if (document.visibilityState === "visible" && client.isFetching({ queryKey: [QUERIES] }) === 0) setNowMs(stepped(Date.now(), range));
    };
    const wait = () => {
      timer = window.setTimeout(() => {
        show();
        wait();
      }, stepMs(range) - (Date.now() % stepMs(range)));
    };
    wait();
    document.addEventListener("visibilitychange", show);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", show);
    };
  }, [client, live, range]);

  // who opens a link sees the buckets of who sent it, so every link says their zone
  useEffect(() => {
    if (search.tz !== undefined) return;
    void navigate({ to: ".", search: (before: Record<string, unknown>) => ({ ...before, tz: localZone() }) as never, replace: true });
  }, [navigate, search.tz]);

  const change = useCallback<View["change"]>(
    (words) => {
      void navigate({
        to: ".",
        search: (before: Record<string, unknown>) => parseSearch({ ...before, ...words }) as never,
        replace: false,
      });
    },
    [navigate],
  );
  const view = useMemo<View>(
    () => ({ search, range, zone: search.tz ?? localZone(), nowMs, live, setLive, change }),
    [search, range, nowMs, live, change],
  );
  return <ViewContext.Provider value={view}>{children}</ViewContext.Provider>;
}

export function useView(): View {
  const view = useContext(ViewContext);
  if (view === null) throw new Error("useView outside of <Viewed>");
  return view;
}
