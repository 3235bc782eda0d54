import { expect, it } from "vitest";

import { csv, fileName, tabbed } from "./save";

it("quotes what needs quoting, and runs no formula", () => {
  expect(csv(["a", "b"], [['say "hi"', null], ["=1+1", -1], ["x,y", 0]])).toBe('a,b\r\n"say ""hi""",\r\n\'=1+1,-1\r\n"x,y",0\r\n');
});
it("names files by their title, whatever it holds", () => {
  expect(fileName("Time to first token · p95", "csv")).toBe("time-to-first-token-p95.csv");
  expect(fileName("応答時間", "png")).toBe("応答時間.png");
  expect(fileName("../../<>", "json")).toBe("numbers.json");
});
it("copies cells for a spreadsheet, one per column, and runs no formula", () => {
  expect(tabbed(["a", "b"], [["x\ty", "–"], ["=1+1", "-1.50"], [null, 3]])).toBe("a\tb\nx y\t–\n'=1+1\t-1.50\n\t3\n");
});
