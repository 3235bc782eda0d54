/** What it costs, as the API says it in one answer. */
import type { UseQueryResult } from "@tanstack/react-query";

import { useView } from "../app/view";
import { type Cell, type Row, useFetched, useSelection } from "./query";

export interface Month {
  readonly start: string;
  readonly end: string;
  readonly values: Readonly<Record<string, Cell>>;
}

export interface Costs {
  readonly month: Month;
  readonly projection: { readonly cost_usd: number | null; readonly basis_start: string | null; readonly basis_days: number };
  /** The oldest first; the last one is not over. */
  readonly months: readonly Month[];
  readonly total: Readonly<Record<string, Cell>>;
  readonly misses: readonly Row[];
}

const PATH = "/api/v1/costs";
const EVERY_MS = 60_000;

/** Months are of the filters; total and misses of the range, too. */
export function useCosts(): UseQueryResult<Costs> {
  const { zone } = useView();
  return useFetched<Costs>(PATH, { ...useSelection(), timezone: zone, limit: 1 }, EVERY_MS);
}
