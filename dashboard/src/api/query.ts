/** Questions to the metrics engine: the shape of its answer, and the hook that every view asks through. */
import { keepPreviousData, useQuery, type UseQueryResult } from "@tanstack/react-query";

import { useView } from "../app/view";
import { filtersOf } from "../state/search";
import { instants } from "../state/range";
import { get, type Parameters_ } from "./client";

export interface Cell {
  readonly value: number | null;
  /** Records that the value rests on. */
  readonly n: number;
  /** `n` as a share of the records selected. */
  readonly coverage: number | null;
  readonly previous?: number | null;
  /** (value − previous) / previous. */
  readonly change?: number | null;
}

export interface Row {
  readonly key: Readonly<Record<string, string | number | boolean | null>>;
  readonly values: Readonly<Record<string, Cell>>;
}

export interface Column {
  readonly name: string;
  readonly kind: "dimension" | "metric";
  readonly unit: string;
  readonly meaning: string;
}

export interface Answer {
  readonly app_version: string;
  readonly start: string | null;
  readonly end: string | null;
  readonly timezone: string;
  readonly bucket: string | null;
  readonly source: "records" | "rollups" | "both";
  readonly relative_error: number;
  readonly records: number;
  readonly older_records: Readonly<Record<string, number>>;
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
}

export interface Question {
  readonly metrics: readonly string[];
  readonly groupBy?: readonly string[];
  readonly bucket?: string;
  readonly order?: string;
  readonly limit?: number;
  readonly compare?: boolean;
}

/** Range and filters as the API's parameters, at the moment that the view shows. */
export function useSelection(): Parameters_ {
  const { search, range, nowMs } = useView();
  return { ...filtersOf(search), ...instants(range, nowMs) };
}

/** The answer to a question about what the view selects. The last one stays while the next is on its way. */
export function useAnswer(question: Question): UseQueryResult<Answer> {
  const { zone } = useView();
  const parameters: Parameters_ = {
    ...useSelection(),
    metrics: question.metrics.join(","),
    group_by: question.groupBy?.join(","),
    bucket: question.bucket,
    order: question.order,
    limit: question.limit,
    compare: question.compare === true ? "previous" : undefined,
    timezone: zone,
  };
  return useQuery({
    queryKey: ["query", parameters],
    queryFn: ({ signal }) => get<Answer>("/api/v1/query", parameters, signal),
    placeholderData: keepPreviousData,
  });
}

export function useFetched<T>(path: string, parameters: Parameters_ = {}, everyMs?: number): UseQueryResult<T> {
  return useQuery({
    queryKey: [path, parameters],
    queryFn: ({ signal }) => get<T>(path, parameters, signal),
    placeholderData: keepPreviousData,
    ...(everyMs === undefined ? {} : { refetchInterval: everyMs }),
  });
}
