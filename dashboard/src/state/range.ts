/** Ranges of time: what is chosen, what it means now, and the same span before it. Pure: the clock is passed in. */

export const RELATIVE = ["15m", "1h", "6h", "24h", "7d", "30d", "90d", "all"] as const;
export type Relative = (typeof RELATIVE)[number];
/** A custom range is two instants in ISO 8601; `end` is exclusive. */
export type Range = { readonly kind: "relative"; readonly span: Relative } | { readonly kind: "fixed"; readonly start: string; readonly end: string };

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const SPAN_MS: Record<Relative, number | null> = {
  "15m": 15 * MINUTE_MS,
  "1h": HOUR_MS,
  "6h": 6 * HOUR_MS,
  "24h": DAY_MS,
  "7d": 7 * DAY_MS,
  "30d": 30 * DAY_MS,
  "90d": 90 * DAY_MS,
  all: null,
};

export const DEFAULT_RANGE: Range = { kind: "relative", span: "24h" };

/** `null` at either side: open. */
export interface Instants {
  readonly start: string | null;
  readonly end: string | null;
}

/** The instants that a range means at `nowMs`. A relative one ends now and stays open, so that new records show. */
export function instants(range: Range, nowMs: number): Instants {
  if (range.kind === "fixed") return { start: range.start, end: range.end };
  const span = SPAN_MS[range.span];
  return { start: span === null ? null : new Date(nowMs - span).toISOString(), end: null };
}

export function lengthMs(range: Range): number | null {
  return range.kind === "fixed" ? Date.parse(range.end) - Date.parse(range.start) : SPAN_MS[range.span];
}

const SHORTEST_STEP_MS = 5000;

/** How often a range moves: a point of its chart is wider than the step. */
export function stepMs(range: Range): number {
  const span = lengthMs(range);
  return span === null ? MINUTE_MS : Math.min(MINUTE_MS, Math.max(SHORTEST_STEP_MS, span / 720));
}

/** The beginning of the step: whoever looks at the same range asks the same question then, and is answered once. */
export function stepped(nowMs: number, range: Range): number {
  return Math.floor(nowMs / stepMs(range)) * stepMs(range);
}

/** From a URL: `24h`, or `2026-01-01T00:00:00Z..2026-01-02T00:00:00Z`. `null`: it is neither. */
export function parseRange(text: string): Range | null {
  const span = RELATIVE.find((each) => each === text);
  if (span !== undefined) return { kind: "relative", span };
  const [start, end, more] = text.split("..");
  if (start === undefined || end === undefined || more !== undefined) return null;
  const [startMs, endMs] = [Date.parse(start), Date.parse(end)];
  if (!Number.isFinite(startMs) || !Number.isFinite(endMs) || startMs >= endMs) return null;
  return { kind: "fixed", start: new Date(startMs).toISOString(), end: new Date(endMs).toISOString() };
}

export function formatRange(range: Range): string {
  return range.kind === "relative" ? range.span : `${range.start}..${range.end}`;
}

/** Buckets of time as the API names them, with how long they are. */
export const BUCKETS = {
  minute: MINUTE_MS,
  "5m": 5 * MINUTE_MS,
  "15m": 15 * MINUTE_MS,
  hour: HOUR_MS,
  day: DAY_MS,
  week: 7 * DAY_MS,
  month: 30 * DAY_MS,
} as const;
export type Bucket = keyof typeof BUCKETS;
const MOST_BUCKETS = 1500; // more are no chart, and the API refuses 2000

export function isBucket(name: string | undefined): name is Bucket {
  return name !== undefined && name in BUCKETS;
}

/** Those that divide a range into more than one and not too many; `null`: the range is not known yet. */
export function bucketsOf(spanMs: number | null): readonly Bucket[] {
  const all = Object.keys(BUCKETS) as Bucket[];
  return spanMs === null ? all.filter((name) => BUCKETS[name] >= HOUR_MS) : all.filter((name) => BUCKETS[name] < spanMs && spanMs / BUCKETS[name] <= MOST_BUCKETS);
}

/** The coarsest bucket that still draws at least `wanted` points, as the API names it. */
export function bucketFor(spanMs: number | null, wanted = 30): string {
  if (spanMs === null) return "day";
  const table: readonly (readonly [string, number])[] = [
    ["day", DAY_MS],
    ["hour", HOUR_MS],
    ["15m", 15 * MINUTE_MS],
    ["5m", 5 * MINUTE_MS],
  ];
  return table.find(([, width]) => spanMs / width >= wanted)?.[0] ?? "minute";
}
