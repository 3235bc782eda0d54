import { expect, it } from "vitest";

import { dimensionsOf, measuredOf, offerOf, SHAPES } from "./explore";

it("whatever a shape does not offer, it says why", () => {
  for (const shape of SHAPES) {
    for (const comparable of [true, false]) {
      const { compare, by, log, reasons } = offerOf(shape, comparable);
      expect([shape, reasons.length > 0]).toEqual([shape, !(compare && by && log)]);
    }
  }
});
it("every shape but a year compares where there is a period before", () => {
  expect(SHAPES.filter((shape) => !offerOf(shape, true).compare)).toEqual(["year"]);
  expect(SHAPES.filter((shape) => offerOf(shape, false).compare)).toEqual([]);
});
it("divides by what is asked, never twice by the same, and by what a shape needs", () => {
  expect(dimensionsOf("line", undefined, "user")).toEqual([]);
  expect(dimensionsOf("line", "model", "model")).toEqual(["model"]);
  expect(dimensionsOf("bar", "model", "user")).toEqual(["model", "user"]);
  expect(dimensionsOf("heatmap", "model", "user")).toEqual([]);
  expect(dimensionsOf("ranking", undefined, undefined)).toEqual(["model"]);
  expect(dimensionsOf("matrix", "outcome", undefined)).toEqual(["outcome", "model"]);
  expect(dimensionsOf("matrix", undefined, undefined)).toEqual(["model", "outcome"]);
});
it("knows what each request has a value of", () => {
  expect(measuredOf("response_time_ms.p95")).toBe("response_time_ms");
  expect(measuredOf("cost_usd")).toBeUndefined();
});
