import { expect, it } from "vitest";

import { filled } from "./bins";

it("draws a gap where nothing fell into a bin", () => {
  expect(filled([{ from: 0.7, n: 1 }, { from: 2, n: 4 }])).toEqual([
    { from: 0.7, n: 1 },
    { from: 1, n: 0 },
    { from: 1.5, n: 0 },
    { from: 2, n: 4 },
  ]);
  expect(filled([])).toEqual([]);
});
it("keeps bins that it does not know", () => expect(filled([{ from: 0, n: 2 }, { from: 0.001, n: 1 }])).toHaveLength(2));
