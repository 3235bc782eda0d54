import { describe, expect, it } from "vitest";

import { FILTER_NAMES, filtersOf, parseSearch, rangeOf } from "./search";

describe("a link", () => {
  it("carries every filter there and back", () => {
    const raw = Object.fromEntries(FILTER_NAMES.map((name) => [name, `a ${name} & <b>`]));
    expect(filtersOf(parseSearch(raw))).toEqual(raw);
  });
  it("carries several values, not and comparisons, also of columns without a chip of their own", () => {
    const raw = { model: "a,b", "user!": "(none)", "response_time_ms>5000": "", "status_code>": 500, user_agent: "x", "where": ["cost_usd<1"] };
    expect(filtersOf(parseSearch(raw))).toEqual({ model: "a,b", where: ["user!=(none)", "status_code>=500", "response_time_ms>5000", "user_agent=x", "cost_usd<1"] });
    expect(parseSearch(parseSearch(raw) as Record<string, unknown>)).toEqual(parseSearch(raw));
  });
  it("leaves out what is at its default", () => expect(parseSearch({ range: "24h" })).toEqual({}));
  it("drops what nobody knows, and what cannot be", () => {
    expect(parseSearch({ evil: "x", range: "yesterday", tz: "Mars/Olympus", model: "", id: { a: 1 }, user: "x".repeat(5000) })).toEqual({});
  });
  it("takes numbers that the router has read as numbers", () => expect(parseSearch({ status_code: 429 })).toEqual({ status_code: "429" }));
  it("takes a flag as people write it", () => expect([1, "1", true, "true"].map((kiosk) => parseSearch({ kiosk }))).toEqual(Array(4).fill({ kiosk: true })));
  it("has a range even if it says none", () => expect(rangeOf({})).toEqual({ kind: "relative", span: "24h" }));
  it("knows zones", () => expect(parseSearch({ tz: "Asia/Kathmandu" })).toEqual({ tz: "Asia/Kathmandu" }));
});
