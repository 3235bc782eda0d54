/** Objectives and alerts as last measured: answered from memory, and so cheap to ask. */
import { useFetched } from "./query";
import type { components } from "./schema";

const EVERY_MS = 15_000; // as often as the program measures, unless it is told otherwise
export const SLOS = "/api/v1/slos";
export const ALERTS = "/api/v1/alerts";

export function useSlos() {
  return useFetched<components["schemas"]["Slos"]>(SLOS, {}, EVERY_MS);
}

export function useAlerts() {
  return useFetched<components["schemas"]["Alerts"]>(ALERTS, {}, EVERY_MS);
}
