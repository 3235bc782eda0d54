import { describe, expect, it } from "vitest";

import { FILTER_NAMES, filtersOf, parseSearch, rangeOf } from "./search";

describe("a link", () => {
  it("carries every filter there and back", () => {
    const raw = Object.fromEntries(FILTER_NAMES.map((name) => [name, `a ${name} & <b>`]));
    expect(filtersOf(parseSearch(raw))).toEqual(raw);
  });
  it("leaves out what is at its default", () => expect(parseSearch({ range: "24h" })).toEqual({}));
  it("drops what nobody knows, and what cannot be", () => {
    expect(parseSearch({ evil: "x", range: "yesterday", tz: "Mars/Olympus", model: "", id: { a: 1 }, user: "x".repeat(513) })).toEqual({});
  });
  it("takes numbers that the router has read as numbers", () => expect(parseSearch({ status_code: 429 })).toEqual({ status_code: "429" }));
  it("has a range even if it says none", () => expect(rangeOf({})).toEqual({ kind: "relative", span: "24h" }));
  it("knows zones", () => expect(parseSearch({ tz: "Asia/Kathmandu" })).toEqual({ tz: "Asia/Kathmandu" }));
});
