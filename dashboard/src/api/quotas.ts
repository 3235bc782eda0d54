/** What is left of servers' limits: answered from memory, and so cheap to ask. */
import { useFetched } from "./query";
import type { components } from "./schema";

const EVERY_MS = 15_000;
export const QUOTAS = "/api/v1/quotas";
export type Quota = components["schemas"]["QuotaReport"];

export function useQuotas() {
  return useFetched<components["schemas"]["Quotas"]>(QUOTAS, {}, EVERY_MS);
}
