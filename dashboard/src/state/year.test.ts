import { describe, expect, it } from "vitest";

import { dayAfter, levelsOf, monthsOf, movedTo, weeksUpTo } from "./year";

describe("a year", () => {
  it.each([
    ["monday", "2025-11-24", 0],
    ["sunday", "2025-11-30", 6],
    ["saturday", "2025-11-29", 5],
  ] as const)("of weeks from %s begins on %s, and ends today", (start, first, blank) => {
    const weeks = weeksUpTo("2026-11-29", start); // a Sunday
    expect(weeks.length).toBe(53);
    expect(weeks[0]?.[0]).toBe(first);
    expect(weeks.flat().filter((day) => day !== null).at(-1)).toBe("2026-11-29");
    expect(weeks.at(-1)?.filter((day) => day === null).length).toBe(blank);
  });
  it("has each day once, leap days, too", () => {
    const days = weeksUpTo("2028-03-05", "monday").flat();
    expect(new Set(days).size).toBe(days.length);
    expect(days).toContain("2028-02-29");
  });
  it("writes twelve months or so, none into the next", () => {
    const months = monthsOf(weeksUpTo("2026-11-29", "monday"));
    expect(months.length).toBeGreaterThanOrEqual(11);
    expect(months.slice(1).every(({ column }, index) => column - (months[index]?.column ?? 0) >= 3)).toBe(true);
  });
});
it("goes from day to day over months", () => expect([dayAfter("2026-02-28"), dayAfter("2028-02-28"), dayAfter("2026-12-31")]).toEqual(["2026-03-01", "2028-02-29", "2027-01-01"]));
it("one wild day does not pale all others, and nothing has no colour", () => {
  const level = levelsOf([0, null, 1, 2, 3, 1e9]);
  expect([null, 0, 1, 2, 3, 1e9].map(level)).toEqual([0, 0, 1, 2, 3, 4]);
  expect(levelsOf([])(5)).toBe(1);
  expect(levelsOf([7, 7, 7])(7)).toBe(4);
});
it.each([
  ["ArrowLeft", 3, 0],
  ["ArrowRight", 3, 10],
  ["ArrowUp", 3, 2],
  ["ArrowDown", 369, 370],
  ["ArrowDown", 370, 370],
  ["Home", 99, 0],
  ["End", 0, 370],
  ["a", 3, null],
])("%s from day %i leads to %s", (key, at, to) => expect(movedTo(key, at, 371)).toBe(to));
