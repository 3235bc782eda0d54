/** Who reads: whether a token is needed, and which program answers. Asked once; errors elsewhere ask again. Until it is known, nothing is shown. */
import { useQuery } from "@tanstack/react-query";

import { get, needsToken } from "../api/client";

export const SESSION = "/session";

export interface Session {
  readonly app_version: string;
  readonly signed_in: boolean;
  /** Where clients reach the proxy; empty: not known. */
  readonly proxy_url?: string;
  /** The simulated server of the demo answers. */
  readonly simulated?: boolean;
  /** Whose part of the records this reader sees; null: all of them. */
  readonly scope?: { readonly name: string; readonly conditions: readonly string[] } | null;
}

/** What is about all requests is refused to who sees a part of them: it is neither asked nor offered. */
export const WHOLE_PATHS: ReadonlySet<string> = new Set(["/api/v1/slos", "/api/v1/alerts", "/api/v1/migrations/current", "/api/v1/versions", "/api/v1/settings", "/api/v1/servers"]);
const WHOLE_VIEWS: ReadonlySet<string> = new Set(["/servers", "/versions", "/settings"]);

const AGAIN_MS = 2000;

/** Whose part of the records is shown; null: all of them. */
export function useScope(): NonNullable<Session["scope"]> | null {
  return useSession().data?.scope ?? null;
}

/** Of views, those that this reader may see. */
export function useSeen(): (view: { readonly path: string }) => boolean {
  const scope = useScope();
  return ({ path }) => scope === null || !WHOLE_VIEWS.has(path);
}

export function useSession() {
  return useQuery({
    queryKey: [SESSION],
    queryFn: ({ signal }) => get<Session>(SESSION, {}, signal),
    staleTime: Infinity,
    refetchInterval: ({ state: { error } }) => (error === null || needsToken(error) ? false : AGAIN_MS),
  });
}
