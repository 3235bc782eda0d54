/** How young an installation is, and which range holds all that it has. Pure. */
import type { Relative } from "./range";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Records older than this: whoever looks chooses for themselves, and sees a day until then. */
export const YOUNG_MS = 6 * HOUR_MS;

/** The first range that has room for all, and for some more to come. */
const ROOM: readonly (readonly [number, Relative])[] = [
  [12 * MINUTE_MS, "15m"],
  [50 * MINUTE_MS, "1h"],
  [YOUNG_MS, "6h"],
];

/** The shortest range that holds records as old as `ageMs`; `null`: the usual one does. */
export function shortestFor(ageMs: number): Relative | null {
  return ROOM.find(([most]) => ageMs <= most)?.[1] ?? null;
}
