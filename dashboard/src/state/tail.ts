/** The newest records as they arrive: bounded, newest first, no record twice. Pure. */

export interface TailRow {
  readonly id: number;
  readonly [column: string]: string | number | boolean | null;
}

export const MOST_ROWS = 2000;

/** `arrived` in any order before `rows`. A record that is there already is replaced by what came later. */
export function prepend(rows: readonly TailRow[], arrived: readonly TailRow[]): readonly TailRow[] {
  if (arrived.length === 0) return rows;
  const fresh = new Map(arrived.map((row) => [row.id, row]));
  const sorted = [...fresh.values()].sort((a, b) => b.id - a.id);
  return [...sorted, ...rows.filter((row) => !fresh.has(row.id))].slice(0, MOST_ROWS);
}
