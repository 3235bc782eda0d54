import { expect, test } from "vitest";

import { daysFrom, weekStart } from "./week";

test("weeks begin as people of a region expect", () => {
  expect(weekStart("de-DE")).toBe("monday");
  expect(weekStart("en-US")).toBe("sunday");
  expect(weekStart("en-GB")).toBe("monday");
});

test("days stand in the order of the week", () => {
  expect(daysFrom("monday")).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(daysFrom("sunday")).toEqual([7, 1, 2, 3, 4, 5, 6]);
});
