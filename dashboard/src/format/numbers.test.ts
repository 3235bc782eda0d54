import { describe, expect, it } from "vitest";

import { bytes, count, duration, MISSING, percent, speed, usd, withUnit } from "./numbers";
import shown from "./shown.json";

describe("numbers", () => {
  it("missing is not 0", () => {
    for (const format of [count, duration, bytes, usd, percent, speed]) {
      expect(format(null, "en")).toBe(MISSING);
      expect(format(0, "en")).not.toBe(MISSING);
    }
  });
  it("what is not all is not 100 %", () => {
    expect(percent(0.99996, "en")).not.toBe("100%");
    expect(percent(0.99999999, "en")).not.toBe("100%");
    expect(percent(1, "en")).toBe("100%");
  });
  it("what is something is not 0 %", () => {
    expect(percent(0.0001, "en")).toBe("0.01%"); // the threshold of an alert
    expect(percent(0.00000001, "en")).toBe("0.0001%");
    expect(percent(0, "en")).toBe("0%");
    expect(percent(0.0123, "en")).toBe("1.2%");
  });
  // reports say the same: tests/reports/test_numbers.py reads the same table
  it.each(shown as [number, string, string][])("%d %s is %s", (value, unit, text) => expect(withUnit(value, unit, "en")).toBe(text));
  it("small amounts of money show", () => expect(usd(0.00042, "en")).toBe("$0.00042"));
  it("cents have two digits", () => expect([0.8, 0.64, 0.012, 0.996, 3.5].map((value) => usd(value, "en"))).toEqual(["$0.80", "$0.64", "$0.012", "$1.00", "$3.50"]));
  it("in another language", () => expect(count(1234.4, "de")).toBe("1.234"));
  it("speeds say of what", () => expect(speed(71.94, "de")).toBe("71,9 tok/s"));
  it("sizes", () => expect(bytes(1_500_000, "en")).toBe("1.5 MB"));
});
