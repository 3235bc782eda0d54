/** Who reads: whether a token is needed, and which program answers. Asked once; errors elsewhere ask again. */
import { useQuery } from "@tanstack/react-query";

import { get } from "../api/client";

export const SESSION = "/session";

export interface Session {
  readonly app_version: string;
  readonly signed_in: boolean;
}

export function useSession() {
  return useQuery({ queryKey: [SESSION], queryFn: ({ signal }) => get<Session>(SESSION, {}, signal), staleTime: Infinity });
}
