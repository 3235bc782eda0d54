/** What servers and GPUs say of themselves, beside what the proxy sees of them, over the range that the view shows. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";

import { QUERIES, useView } from "../app/view";
import { instants, stepMs } from "../state/range";
import { get } from "./client";
import { useKept } from "./kept";
import type { components } from "./schema";

export const SERVERS = "/api/v1/servers";
export type ServersAnswer = components["schemas"]["Servers"];
export type ServerShown = components["schemas"]["ServerShown"];
export type GpuShown = components["schemas"]["GpuShown"];

const ALL_MS = 30 * 86_400_000; // as long as samples are kept unless a setting says otherwise

export function useServers() {
  const { range, zone, nowMs } = useView();
  const { start, end } = instants(range, nowMs);
  const parameters = { start: start ?? new Date(nowMs - ALL_MS).toISOString(), end: end ?? undefined, timezone: zone };
  const asked = useQuery({
    queryKey: [QUERIES, SERVERS, nowMs, parameters],
    queryFn: ({ signal }) => get<ServersAnswer>(SERVERS, parameters, signal, stepMs(range) / 2000),
    placeholderData: keepPreviousData,
  });
  return useKept(asked, SERVERS, parameters);
}
