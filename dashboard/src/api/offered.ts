/** What there is to choose from: values of a field and tags, as records of the range have them. */
import { useMemo } from "react";

import { useView } from "../app/view";
import { instants } from "../state/range";
import { DIMENSIONS } from "./columns";
import { type TagKey, tagKeys } from "../state/tags";
import { type Answer, useFetched } from "./query";

const MOST_VALUES = 100;
const MOST_SETS_OF_TAGS = 1000;

function useGroups(dimension: string, limit: number) {
  const { range, nowMs } = useView();
  return useFetched<Answer>("/api/v1/query", { ...instants(range, nowMs), metrics: "requests", group_by: dimension, order: "-requests", limit });
}

const requestsOf = (row: Answer["rows"][number]) => row.values["requests"]?.value ?? 0;

/** `undefined`: not known yet. Those of the sets of tags that most records have. */
export function useTagKeys(): readonly TagKey[] | undefined {
  const { data } = useGroups("tags", MOST_SETS_OF_TAGS);
  return useMemo(() => data && tagKeys(data.rows.flatMap((row) => (typeof row.key["tags"] === "string" ? [{ tags: row.key["tags"], requests: requestsOf(row) }] : []))), [data]);
}

/** As a filter of this field takes them, the most used first. */
export function useOffered(field: string): readonly string[] {
  const isTag = field === "tag";
  const isKnown = isTag || (DIMENSIONS as readonly string[]).includes(field);
  const { data } = useGroups(isTag ? "tags" : isKnown ? field : "model", isTag ? MOST_SETS_OF_TAGS : MOST_VALUES);
  return useMemo(() => {
    const known = (isKnown ? (data?.rows ?? []) : []).flatMap((row) => {
      const value = row.key[isTag ? "tags" : field];
      return value === null || value === undefined ? [] : [{ tags: String(value), requests: requestsOf(row) }];
    });
    if (!isTag) return known.map(({ tags }) => tags);
    return tagKeys(known).flatMap(({ key, values }) => values.slice(0, MOST_VALUES).map(({ value }) => `${key}=${value}`));
  }, [data, field, isKnown, isTag]);
}
