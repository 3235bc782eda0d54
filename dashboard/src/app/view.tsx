/** What every view knows: the link's words, the range, the zone, and the moment that it shows. */
import { useNavigate, useSearch } from "@tanstack/react-router";
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";

import { formatRange, lengthMs, type Range } from "../state/range";
import { localZone, parseSearch, rangeOf, type Search } from "../state/search";

export interface View {
  readonly search: Search;
  readonly range: Range;
  readonly zone: string;
  /** Moves on its own while live; questions that were asked at one moment stay the same question. */
  readonly nowMs: number;
  readonly live: boolean;
  readonly setLive: (live: boolean) => void;
  /** Change words of the link; `undefined` takes one out. */
  readonly change: (words: { readonly [Name in keyof Search]?: Search[Name] | undefined }) => void;
}

export const ViewContext = createContext<View | null>(null);

/** Short ranges move often, long ones rarely: a point of the chart is wider than the step. */
export function everyMs(range: Range): number {
  const span = lengthMs(range);
  if (span === null) return 60_000;
  return Math.min(60_000, Math.max(5000, span / 720));
}

export function Viewed({ children }: { children: ReactNode }) {
  const raw = useSearch({ strict: false });
  const navigate = useNavigate();
  const search = useMemo(() => parseSearch(raw as Record<string, unknown>), [raw]);
  const range = useMemo(() => rangeOf(search), [search]);
  const [live, setLive] = useState(true);
  const [nowMs, setNowMs] = useState(() => Date.now());
  const rangeText = formatRange(range);

  useEffect(() => setNowMs(Date.now()), [rangeText, live]);
  useEffect(() => {
    if (!live || range.kind === "fixed") return undefined;
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") setNowMs(Date.now());
    }, everyMs(range));
    return () => clearInterval(timer);
  }, [live, range]);

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
