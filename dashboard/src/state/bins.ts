/** Bins of a histogram as the API makes them. Pure. */
import type { Answer } from "../api/query";

export interface Bin {
  readonly from: number;
  readonly n: number;
}

/** Where bins of one power of ten begin; the API's own, so that a bin that nothing fell into has its place. */
const STEPS = [1, 1.5, 2, 3, 5, 7];
const [FIRST_POWER, LAST_POWER] = [-3, 8];
const EDGES: readonly number[] = Array.from({ length: LAST_POWER - FIRST_POWER + 1 }, (_, index) => STEPS.map((step) => Number(`${step}e${FIRST_POWER + index}`))).flat();

/** `found` in order, and between them the bins that are empty: a gap in the data is a gap in the drawing. */
export function filled(found: readonly Bin[]): Bin[] {
  const [first, last] = [found[0], found.at(-1)];
  if (first === undefined || last === undefined) return [];
  const known = new Map(found.map((bin) => [bin.from, bin]));
  const between = EDGES.filter((edge) => edge > first.from && edge < last.from && !known.has(edge));
  return [...found, ...between.map((from) => ({ from, n: 0 }))].sort((a, b) => a.from - b.from);
}

const MOST_GROUPS = 7;

export type GroupName = (row: Answer["rows"][number]) => string;

/** Edges of all bins, and per group how many records lie in each; the largest groups, and all others as one. Pure. */
export function spreadOf(answer: Answer, dimension: string, name: GroupName, others: (count: number) => string, side: "value" | "previous" = "value") {
  const rows = answer.rows.filter((row) => row.merged === 0 && row.key[dimension] !== null && row.key[dimension] !== undefined);
  const edges = filled([...new Set(rows.map((row) => Number(row.key[dimension])))].sort((a, b) => a - b).map((from) => ({ from, n: 0 }))).map(({ from }) => from);
  const groups = new Map<string, Map<number, number>>();
  for (const row of rows) {
    const bins = groups.get(name(row)) ?? new Map<number, number>();
    const from = Number(row.key[dimension]);
    groups.set(name(row), bins.set(from, (bins.get(from) ?? 0) + (row.values["requests"]?.[side] ?? 0)));
  }
  const sum = (bins: ReadonlyMap<number, number>) => [...bins.values()].reduce((all, n) => all + n, 0);
  const sorted = [...groups].sort(([, a], [, b]) => sum(b) - sum(a));
  const rest = sorted.slice(MOST_GROUPS);
  const spreads = sorted.slice(0, MOST_GROUPS).map(([group, bins]) => ({ group, counts: edges.map((from) => bins.get(from) ?? 0) }));
  if (rest.length > 0) spreads.push({ group: others(rest.length), counts: edges.map((from) => rest.reduce((all, [, bins]) => all + (bins.get(from) ?? 0), 0)) });
  return { edges, spreads };
}
