/** Who reads: whether a token is needed, and which program answers. Asked once; errors elsewhere ask again. Until it is known, nothing is shown. */
import { useQuery } from "@tanstack/react-query";

import { get, needsToken } from "../api/client";

export const SESSION = "/session";

export interface Session {
  readonly app_version: string;
  readonly signed_in: boolean;
}

const AGAIN_MS = 2000;

export function useSession() {
  return useQuery({
    queryKey: [SESSION],
    queryFn: ({ signal }) => get<Session>(SESSION, {}, signal),
    staleTime: Infinity,
    refetchInterval: ({ state: { error } }) => (error === null || needsToken(error) ? false : AGAIN_MS),
  });
}
