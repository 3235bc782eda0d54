import { expect, it } from "vitest";

import { MOST_ROWS, prepend } from "./tail";

it("keeps the newest first, each once", () => {
  const rows = prepend(prepend([], [{ id: 1 }, { id: 2 }]), [{ id: 2, model: "m" }, { id: 3 }]);
  expect(rows).toEqual([{ id: 3 }, { id: 2, model: "m" }, { id: 1 }].sort((a, b) => b.id - a.id));
});
it("is bounded", () => {
  let rows: readonly { id: number }[] = [];
  for (let start = 0; start < 5000; start += 100) rows = prepend(rows, Array.from({ length: 100 }, (_, index) => ({ id: start + index })));
  expect(rows.length).toBe(MOST_ROWS);
  expect(rows[0]?.id).toBe(4999);
});
