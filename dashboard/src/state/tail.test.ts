import { expect, it } from "vitest";

import { MOST_ROWS, prepend, type TailRow } from "./tail";

const row = (arrival: number, host: string | null = null, model = "m"): TailRow => ({ arrival, host, model });

it("keeps the newest first, each once", () => {
  const rows = prepend(prepend([], [row(1), row(2)]), [row(2, null, "other"), row(3)]);
  expect(rows).toEqual([row(3), row(2, null, "other"), row(1)]);
});
it("tells records of two hosts apart", () => {
  const rows = prepend(prepend([], [row(7, "a"), row(7, "b")]), [row(8, "b"), row(7, "a", "other")]);
  expect(rows).toEqual([row(7, "a", "other"), row(8, "b"), row(7, "b")]);
});
it("is bounded", () => {
  let rows: readonly TailRow[] = [];
  for (let start = 0; start < 5000; start += 100) rows = prepend(rows, Array.from({ length: 100 }, (_, index) => row(start + index)));
  expect(rows.length).toBe(MOST_ROWS);
  expect(rows[0]?.arrival).toBe(4999);
});
