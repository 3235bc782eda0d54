/** Sessions of clients as the API tells of them: a list page by page, and one with its requests. */
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";

import { QUERIES, useView } from "../app/view";
import type { Speech } from "../i18n";
import { sessionPath } from "../state/session_path";
import { get } from "./client";
import { useKept } from "./kept";
import { useSelection } from "./query";
import type { components } from "./schema";

type Schemas = components["schemas"];
export type SessionRow = Readonly<Schemas["SessionRow"]>;
export type SessionDetail = Readonly<Schemas["SessionDetail"]>;
export type SessionRequest = Readonly<Schemas["SessionRequest"]>;
export type SessionUse = Readonly<Schemas["SessionUse"]>;

const CACHE_WORDS = { hit: "sessions.cache.hit", miss: "sessions.cache.miss", new: "sessions.cache.new" } as const;
const isCacheState = (state: string | null): state is keyof typeof CACHE_WORDS => state !== null && state in CACHE_WORDS;

/** What the cache gave a request, and why not, in the server's words; nothing where the server does not say. */
export function cacheWords(request: SessionRequest, t: Speech["t"]): string | null {
  return isCacheState(request.cache) ? [t(CACHE_WORDS[request.cache]), request.cache_miss_reason].filter(Boolean).join(": ") : null;
}

const PATH = "/api/v1/sessions";
const PAGE = 50;
const REQUESTS = 2000;
const LIST_EVERY_MS = 10_000;
const ONE_EVERY_MS = 3_000;
export const DEFAULT_ORDER = "-total_tokens";

/** Sessions with a request that the view selects. While live they are asked for again, also within one step of the range. */
export function useSessions(order: string) {
  const { live, nowMs } = useView();
  const parameters = { ...useSelection(), order, limit: PAGE };
  const asked = useInfiniteQuery({
    queryKey: [QUERIES, "sessions", nowMs, parameters],
    queryFn: ({ pageParam, signal }) => get<Schemas["SessionPage"]>(PATH, { ...parameters, cursor: pageParam }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor ?? null,
    placeholderData: keepPreviousData,
    refetchInterval: live ? LIST_EVERY_MS : false,
  });
  return useKept(asked, PATH, parameters);
}

/** One session, with as many pages of its requests as were asked for; again and again while it is live. */
export function useOneSession(id: string) {
  const { live } = useView();
  return useInfiniteQuery({
    queryKey: ["session", id],
    queryFn: ({ pageParam, signal }) => get<SessionDetail>(sessionPath(id), { limit: REQUESTS, offset: pageParam }, signal),
    initialPageParam: 0,
    getNextPageParam: (page) => page.next_offset ?? null,
    refetchInterval: (query) => (live && query.state.data?.pages[0]?.session.is_live === true ? ONE_EVERY_MS : false),
  });
}
