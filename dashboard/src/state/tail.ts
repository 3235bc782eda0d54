/** The newest records as they arrive: bounded, newest first, no record twice. Pure. */

export interface TailRow {
  readonly arrival: number;
  readonly host: string | null;
  readonly [column: string]: string | number | boolean | null;
}

export const MOST_ROWS = 2000;

/** Its name wherever records of several hosts meet. */
export const keyOf = (row: Readonly<Record<string, unknown>>): string => `${row["arrival"]} ${row["host"] ?? ""}`;

/** `arrived` in their order before `rows`. A record that is there already is replaced by what came later. */
export function prepend(rows: readonly TailRow[], arrived: readonly TailRow[]): readonly TailRow[] {
  if (arrived.length === 0) return rows;
  const fresh = new Map(arrived.map((row) => [keyOf(row), row]));
  return [...[...fresh.values()].reverse(), ...rows.filter((row) => !fresh.has(keyOf(row)))].slice(0, MOST_ROWS);
}
