import { describe, expect, it } from "vitest";

import { columnOf, headed } from "./columns";

const column = (values: (number | null)[], unit: string, locale = "en") => values.map(columnOf(values, unit, locale));

describe("a column", () => {
  it.each([
    ["ratio", [0.98, 0.984, 1, 0], ["98.0%", "98.4%", "100.0%", "0.0%"]],
    ["ratio", [0.9996, 0.5], ["99.96%", "50.00%"]],
    ["ms", [361, 804, 12_000], ["0.36 sec", "0.80 sec", "12.00 sec"]],
    ["ms", [37.06, 9.4], ["37.1 ms", "9.4 ms"]],
    ["ms", [361, 369.4], ["361 ms", "369 ms"]],
    ["bytes", [1_500_000, 20_000], ["1.50 MB", "0.02 MB"]],
    ["USD", [0.0042, 0.00031, 0], ["$0.0042", "$0.0003", "$0.0000"]],
    ["USD", [12.5, 3, 0.001], ["$12.50", "$3.00", "<$0.01"]],
    ["tokens/s", [73, 71.51], ["73.0 tok/s", "71.5 tok/s"]],
    ["tokens", [7_610_000, 86_100, 950], ["7.6M", "86.1K", "950"]],
    ["", [12_345, 3], ["12,345", "3"]],
  ] as const)("of %s %j has one unit and one number of decimals", (unit, values, texts) => expect(column([...values], unit)).toEqual(texts));
  it("says what is missing, and that something is not nothing", () => {
    expect(column([null, 5000, 0.2], "ms")).toEqual(["–", "5.00 sec", "<0.01 sec"]);
    expect(column([null], "ms")).toEqual(["–"]);
    expect(column([0.999_999_9], "ratio")).not.toEqual(["100.0%"]);
  });
  it("speaks the reader's language", () => expect(column([0.98, 0.5], "ratio", "de")).toEqual(["98,0\u00a0%", "50,0\u00a0%"]));
});

it.each([
  [[12.3456, 1200, 61_000], "ms", "sec", ["0.01", "1.20", "61.00", "–"]],
  [[0.98, 0.984, 1], "ratio", "%", ["98.0", "98.4", "100.0", "–"]],
  [[0.5, 12.25, 0.0001], "USD", "$", ["0.50", "12.25", "<0.01", "–"]],
  [[1_234_567, 12, 0], "tokens", "", ["1,234,567", "12", "0", "–"]],
  [[71.94, 8.1, 100], "tokens/s", "tok/s", ["71.9", "8.1", "100.0", "–"]],
  [[0.0123, 0.5, 2.25], "requests/s", "", ["0.012", "0.500", "2.250", "–"]],
] as const)("%j in %s: the unit %s once, and one number of decimals", (values, unit, head, texts) => {
  const column = headed(values, unit, "en");
  expect(column.unit).toBe(head);
  expect([...values, null].map(column.show)).toEqual(texts);
});
