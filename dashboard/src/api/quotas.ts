/** What is left of servers' limits, and how budgets stand. */
import { useFetched } from "./query";
import type { components } from "./schema";

const EVERY_MS = 30_000; // twenty pages ask, and neither moves fast
export const QUOTAS = "/api/v1/quotas";
export const BUDGETS = "/api/v1/budgets";
export type Quota = components["schemas"]["LimitReport"];
export type Budget = components["schemas"]["BudgetReport"];
export type Standing = components["schemas"]["BudgetStanding"];

export function useQuotas() {
  return useFetched<components["schemas"]["Quotas"]>(QUOTAS, {}, EVERY_MS);
}

export function useBudgets() {
  return useFetched<components["schemas"]["Budgets"]>(BUDGETS, {}, EVERY_MS);
}
