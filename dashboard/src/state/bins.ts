/** Bins of a histogram as the API makes them. Pure. */

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
