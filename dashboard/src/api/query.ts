/** Questions to the metrics engine: the shape of its answer, and the hook that every view asks through. */
import { keepPreviousData, useQuery, type UseQueryResult } from "@tanstack/react-query";

import { useScope, WHOLE_PATHS } from "../app/session";
import { QUERIES, useView } from "../app/view";
import { useSpeech } from "../i18n";
import { filtersOf } from "../state/search";
import { bucketFor, bucketsOf, instants, isBucket, lengthMs, stepMs } from "../state/range";
import { weekStart } from "../state/week";
import { address, get, type Parameters_ } from "./client";
import { useKept } from "./kept";

export interface Cell {
  readonly value: number | null;
  /** Records that the value rests on. */
  readonly n: number;
  /** `n` as a share of the records selected. */
  readonly coverage: number | null;
  readonly previous?: number | null;
  /** Records that `previous` rests on. */
  readonly previous_n?: number;
  /** (value − previous) / previous. */
  readonly change?: number | null;
}

export interface Row {
  readonly key: Readonly<Record<string, string | number | boolean | null>>;
  readonly values: Readonly<Record<string, Cell>>;
  /** Of the row of all others: how many groups it stands for; else 0. */
  readonly merged: number;
  /** Part of the bucket lies outside the range, or has not come yet. */
  readonly partial?: true;
  /** Of a comparison: no records in the period before, or none in this one. */
  readonly presence?: "new" | "gone";
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

/** An answer, and where it came from, so that others can ask the same. */
export type Asked = Pick<UseQueryResult<Answer>, "data" | "error" | "refetch"> & { readonly address: string };

/** The answer to a question about what the view selects. */
export function useAnswer(question: Question): Asked {
  const { zone, range, nowMs } = useView();
  const { locale } = useSpeech();
  const parameters: Parameters_ = {
    ...useSelection(),
    metrics: question.metrics.join(","),
    group_by: question.groupBy?.join(","),
    bucket: question.bucket,
    order: question.order,
    limit: question.limit,
    compare: question.compare === true ? true : undefined,
    timezone: zone,
    week_start: question.bucket === "week" || question.groupBy?.includes("weekday") === true ? weekStart(locale) : undefined,
  };
  const asked = useQuery({
    queryKey: [QUERIES, nowMs, parameters], // the range of all records has no moment among its parameters
    queryFn: ({ signal }) => get<Answer>("/api/v1/query", parameters, signal, stepMs(range) / 2000),
    placeholderData: keepPreviousData,
  });
  return { ...useKept(asked, "/api/v1/query", parameters), address: address("/api/v1/query", parameters) };
}

/** How long the range is; of all records, how far they reach, which a question finds out. `null`: not known yet. */
export function useLengthMs(): number | null {
  const { range } = useView();
  const length = lengthMs(range);
  const all = useQuery({
    queryKey: ["extent"],
    queryFn: ({ signal }) => get<Answer>("/api/v1/query", { metrics: "requests" }, signal, 30),
    enabled: length === null,
    staleTime: 60_000,
  });
  const [start, end] = [all.data?.start ?? null, all.data?.end ?? null];
  return length ?? (start === null || end === null ? null : Date.parse(end) - Date.parse(start));
}

/** The bucket that a reader chose, where the range has room for it; else one that draws some `wanted` points. */
export function useBucket(wanted?: number): string {
  const { search } = useView();
  const length = useLengthMs();
  const chosen = search.bucket;
  return isBucket(chosen) && bucketsOf(length).includes(chosen) ? chosen : bucketFor(length, wanted);
}

/** Whether there is a period before the range. */
export function useComparable(): boolean {
  const { range } = useView();
  return !(range.kind === "relative" && range.span === "all");
}

/** Asked again every `everyMs`, which may depend on what the last answer was. */
export function useFetched<T>(path: string, parameters: Parameters_ = {}, everyMs?: number | ((last: T | undefined) => number)): UseQueryResult<T> {
  const refused = useScope() !== null && WHOLE_PATHS.has(path);
  const asked = useQuery({
    queryKey: [path, parameters],
    enabled: !refused,
    queryFn: ({ signal }) => get<T>(path, parameters, signal),
    placeholderData: keepPreviousData,
    ...(everyMs === undefined ? {} : { refetchInterval: typeof everyMs === "number" ? everyMs : (query: { state: { data: T | undefined } }) => everyMs(query.state.data) }),
  });
  return useKept(asked, path, parameters);
}
