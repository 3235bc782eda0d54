/** A young installation: the range that holds its records, and whether a request of one's own came yet. */
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";

import { get } from "../api/client";
import { shortestFor, YOUNG_MS } from "../state/beginning";
import type { Relative } from "../state/range";
import { useSession } from "./session";
import { useView } from "./view";

interface Page {
  readonly items: readonly unknown[];
}

export interface Beginning {
  /** There is no record at all. */
  readonly empty: boolean;
  /** How old the oldest one is, where none is older than `YOUNG_MS`. */
  readonly ageMs: number | null;
  /** A request came that no simulated client sent. */
  readonly own: boolean;
}

/** The address that was opened names a range, even if it is the usual one. */
const NAMED = new URLSearchParams(location.search).has("range");
const LATER: Beginning = { empty: false, ageMs: null, own: true };
const KEPT = "own-request-came";
const EVERY_MS = 5000;
/** What the simulated clients write on each of their requests. */
const NOT_SIMULATED = ["tag=(none)", "tag!=traffic=simulated"] as const;
const LONG_MS = 3_600_000; // a request is told when it ends, and may have begun as long before
let looked: string | undefined; // what began before has none of one's own

const isThere = async (parameters: Readonly<Record<string, string | undefined>>, signal: AbortSignal) =>
  (await get<Page>("/api/v1/requests", { limit: 1, ...parameters }, signal)).items.length > 0;

/** One kind after the other, and what was looked through not again: where there is none, all records are read for it. */
async function isOwnThere(signal: AbortSignal): Promise<boolean> {
  const [start, next] = [looked, new Date(Date.now() - LONG_MS).toISOString()];
  for (const where of NOT_SIMULATED) if (await isThere({ where, start }, signal)) return true;
  looked = next;
  return false;
}

/** Three questions for one record each: of many records, the first answer is the last. */
async function begun(signal: AbortSignal): Promise<Beginning> {
  const own = localStorage.getItem(KEPT) !== null || (await isOwnThere(signal));
  if (own) localStorage.setItem(KEPT, "1");
  if (await isThere({ end: new Date(Date.now() - YOUNG_MS).toISOString() }, signal)) return { empty: false, ageMs: null, own };
  const all = await get<{ records: number; start: string | null }>("/api/v1/query", { metrics: "requests" }, signal);
  return { empty: all.records === 0, ageMs: all.start === null ? null : Date.now() - Date.parse(all.start), own: own && all.records > 0 };
}

/** Asked until a request of one's own came. Where nothing answers, the page goes on as ever. */
export function useBeginning() {
  const isKnown = useSession().data !== undefined;
  return useQuery({
    queryKey: ["beginning"],
    enabled: isKnown,
    queryFn: ({ signal }) => begun(signal),
    retry: false,
    staleTime: Infinity,
    refetchInterval: ({ state: { data, error } }) => (error !== null || (data !== undefined && data.own && !data.empty) ? false : EVERY_MS),
  });
}

/** Where the link names no range and all records are young: the shortest that holds them, once, and never another one. */
export function useFirstRange(isKnown: boolean): { readonly ready: boolean; readonly chosen: Relative | null } {
  const { search, range } = useView();
  const navigate = useNavigate();
  const named = useRef(NAMED || search.range !== undefined);
  const [chosen, setChosen] = useState<Relative | null>(null);
  const [moved, setMoved] = useState(false);
  const beginning = useBeginning();
  const { empty, ageMs } = beginning.data ?? LATER;
  const waits = isKnown && !named.current && beginning.data === undefined && beginning.error === null;
  const span = named.current || empty || ageMs === null ? null : shortestFor(ageMs);
  useEffect(() => {
    if (beginning.data === undefined || empty || named.current) return;
    named.current = true;
    if (span === null) return;
    setChosen(span);
    void navigate({ to: ".", search: (before: Record<string, unknown>) => ({ ...before, range: span }) as never, replace: true }).then(() => setMoved(true));
  }, [beginning.data, empty, span, navigate]);
  const isChosen = chosen !== null && range.kind === "relative" && range.span === chosen;
  return { ready: !waits && span === null && (chosen === null || moved), chosen: isChosen ? chosen : null };
}
