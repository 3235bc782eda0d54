import { describe, expect, it } from "vitest";

import { bucketFor, formatRange, instants, parseRange, RELATIVE, stepMs, stepped } from "./range";

const NOW = Date.parse("2026-11-25T10:00:00Z");

describe("a range in the URL", () => {
  it.each(RELATIVE)("%s comes back as it went", (span) => {
    expect(formatRange(parseRange(span)!)).toBe(span);
  });
  it("a fixed one comes back in UTC", () => {
    const range = parseRange("2026-01-01T01:00:00+01:00..2026-01-02T00:00:00Z")!;
    expect(formatRange(range)).toBe("2026-01-01T00:00:00.000Z..2026-01-02T00:00:00.000Z");
  });
  it.each(["", "1y", "..", "a..b", "2026-01-02..2026-01-01", "2026-01-01..2026-01-02..2026-01-03"])(
    "%j is none",
    (text) => expect(parseRange(text)).toBeNull(),
  );
  it("a relative one stays open at its end", () => {
    expect(instants({ kind: "relative", span: "1h" }, NOW)).toEqual({ start: "2026-11-25T09:00:00.000Z", end: null });
  });
});

describe("the step of a range", () => {
  it.each(RELATIVE)("of %s is longer than nothing and divides a minute", (span) => expect(60_000 % stepMs({ kind: "relative", span })).toBe(0));
  it("is where readers of one range meet", () => {
    const range = { kind: "relative", span: "6h" } as const;
    expect(stepped(NOW + 29_999, range)).toBe(NOW);
    expect(stepped(NOW + 30_000, range)).toBe(NOW + 30_000);
  });
});

it.each([
  [15 * 60_000, "minute"],
  [3_600_000, "minute"],
  [6 * 3_600_000, "5m"],
  [24 * 3_600_000, "15m"],
  [7 * 86_400_000, "hour"],
  [30 * 86_400_000, "day"],
  [90 * 86_400_000, "day"],
])("%i ms are drawn by the %s", (span, bucket) => expect(bucketFor(span)).toBe(bucket));
