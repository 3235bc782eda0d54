import { expect, it } from "vitest";

import type { Answer } from "../api/query";
import { filled, spreadOf } from "./bins";

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
const cell = (value: number, previous: number) => ({ requests: { value, n: value, coverage: 1, previous } });
const row = (from: number | null, model: string, value: number, previous = 0) => ({ key: { "bin:response_time_ms": from, model }, values: cell(value, previous), merged: 0 });
const answer = (rows: Answer["rows"]) => ({ rows }) as Answer;
const model = (each: Answer["rows"][number]) => String(each.key["model"]);

it("has the same edges for all groups, empty bins between, and the largest group first", () => {
  const found = spreadOf(answer([row(100, "a", 1), row(300, "b", 5), row(300, "a", 2), row(null, "a", 9)]), "bin:response_time_ms", model, String);
  expect(found.edges).toEqual([100, 150, 200, 300]);
  expect(found.spreads).toEqual([
    { group: "b", counts: [0, 0, 0, 5] },
    { group: "a", counts: [1, 0, 0, 2] },
  ]);
});
it("puts all groups beyond the seventh together", () => {
  const rows = Array.from({ length: 10 }, (_, index) => row(100, `m${index}`, 10 - index));
  const { spreads } = spreadOf(answer(rows), "bin:response_time_ms", model, (n) => `${n} others`);
  expect(spreads.at(-1)).toEqual({ group: "3 others", counts: [6] });
});
it("reads the period before from the same answer", () => {
  expect(spreadOf(answer([row(100, "a", 1, 4)]), "bin:response_time_ms", model, String, "previous").spreads).toEqual([{ group: "a", counts: [4] }]);
});
