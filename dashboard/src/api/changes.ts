/** What changed since the period before: the shape of the answer, and the hook that asks. */
import { keepPreviousData, useQuery, type UseQueryResult } from "@tanstack/react-query";

import { QUERIES, useView } from "../app/view";
import { instants, lengthMs } from "../state/range";
import { get } from "./client";
import { useKept } from "./kept";
import { useComparable, useSelection } from "./query";

export type Word = string | number | boolean | null;
export type Segment = Readonly<Record<string, Word>>;

export interface Change {
  readonly kind: "change" | "shift";
  readonly metric: string;
  readonly unit: string;
  readonly good: boolean;
  readonly segment: Segment;
  readonly same: readonly Segment[];
  readonly explains: number;
  readonly before: number;
  readonly after: number;
  readonly n_before: number;
  readonly n: number;
  /** Relative; of the error rate the difference. */
  readonly change: number;
  readonly by: string | null;
  readonly parts: readonly { readonly value: Word; readonly share_before: number; readonly share: number }[];
}

export interface Movement {
  readonly metric: string;
  readonly unit: string;
  readonly before: number;
  readonly after: number;
  readonly n_before: number;
  readonly n: number;
  readonly change: number;
  readonly significant: boolean;
  readonly by: string | null;
  readonly within: number | null;
  readonly mix: number | null;
}

export interface Changes {
  readonly end: string | null;
  readonly requests: number;
  readonly requests_before: number;
  readonly false_alarm_rate: number;
  readonly tested: number;
  readonly not_looked_at: readonly string[];
  readonly overall: readonly Movement[];
  readonly changes: readonly Change[];
}

const PATH = "/api/v1/changes";
const STEPS = 288; // of a range: five minutes of a day
const SHORTEST_MS = 60_000;
const LONGEST_MS = 900_000;
const OLDEST = 8; // an eighth of the range

const within = (ms: number) => Math.min(LONGEST_MS, Math.max(SHORTEST_MS, ms));

/** How often it is asked anew: it looks at all there is, and readers of one range share an answer. Pure. */
export const everyMs = (length: number | null): number => within((length ?? 0) / STEPS);

/** How old an answer may be where it costs much to make another; the card says until when it looked. Pure. */
export const oldestMs = (length: number | null): number => within((length ?? 0) / OLDEST);

export function useChanges(): UseQueryResult<Changes> {
  const { zone, range, nowMs } = useView();
  const length = lengthMs(range);
  const every = everyMs(length);
  const parameters = { ...useSelection(), ...instants(range, Math.floor(nowMs / every) * every), timezone: zone };
  const asked = useQuery({
    queryKey: [QUERIES, "changes", parameters],
    queryFn: ({ signal }) => get<Changes>(PATH, parameters, signal, oldestMs(length) / 1000),
    placeholderData: keepPreviousData,
    enabled: useComparable(),
  });
  return useKept(asked, PATH, parameters);
}
