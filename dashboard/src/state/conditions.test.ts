import { describe, expect, it } from "vitest";

import { type Condition, conditionIn, format, keyed, valuesIn, written } from "./conditions";

const ALL: readonly Condition[] = [
  { name: "model", op: "=", values: ["a"] },
  { name: "model", op: "=", values: ["a,b", "c\\d", "", "(none)", null, " x ", "=y", "  "] },
  { name: "model", op: "!=", values: ["a", "b"] },
  { name: "response_time_ms", op: ">", values: ["5000"] },
  { name: "response_time_ms", op: ">=", values: ["5000"] },
  { name: "status_code", op: "<", values: ["500"] },
  { name: "status_code", op: "<=", values: ["499"] },
  { name: "tag", op: "!=", values: ["team=a"] },
];

describe("a condition", () => {
  it.each(ALL.map((each) => [format(each), each] as const))("%s comes back from a link as it went", (_, condition) => {
    expect(conditionIn(...keyed(condition))).toEqual(condition);
    const [[key, value] = ["", ""]] = [...new URLSearchParams(new URLSearchParams([keyed(condition) as [string, string]]).toString())];
    expect(conditionIn(key, value)).toEqual(condition);
  });
  it("is read as people write it", () => {
    const [[key, value] = ["", ""]] = [...new URLSearchParams("response_time_ms>5000")];
    expect(conditionIn(key, value)).toEqual({ name: "response_time_ms", op: ">", values: ["5000"] });
    expect(conditionIn("model!", "a, b")).toEqual({ name: "model", op: "!=", values: ["a", "b"] });
  });
  it.each([["range", "24h"], ["nothing>", "5"], ["model>", "a"], ["model", ""], ["model", "a,,b"], ["response_time_ms>", ""]])("%s with %j is none", (key, value) => expect(conditionIn(key, value)).toBeNull());
});

describe("a list of values", () => {
  it("has a comma in a value by a backslash, and one that stands for itself", () => expect(valuesIn("a\\,b, C:\\x ,(none)")).toEqual(["a,b", "C:\\x", null]));
  it("is written so that it is read again", () => expect(valuesIn(["a,b", "\\", " "].map(written).join(","))).toEqual(["a,b", "\\", " "]));
});
