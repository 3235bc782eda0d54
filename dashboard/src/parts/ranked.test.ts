import { expect, it } from "vitest";

import { sharesOf } from "./ranked";

it("is of the largest, and something is never nothing", () => {
  const share = sharesOf([200, 50, 0.001, 0, null], false);
  expect([200, 50, 0, null].map(share)).toEqual([1, 0.25, 0, 0]);
  expect(share(0.001)).toBeGreaterThan(0.003);
});
it("on a log scale decades are as long as each other", () => {
  const share = sharesOf([1000, 100, 10], true);
  expect([1000, 100, 10].map((value) => Math.round(share(value) * 3))).toEqual([3, 2, 1]);
  expect(share(-5)).toBe(0);
});
it("of nothing there is nothing", () => expect(sharesOf([null, undefined], false)(3)).toBe(0));
