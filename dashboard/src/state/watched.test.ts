import { describe, expect, it } from "vitest";

import { isFiring, sloState, unitOfMetric } from "./watched";

const AT = "2026-01-01T00:00:00Z";

describe("an objective", () => {
  it("is met or missed by its own word", () => {
    expect(sloState({ met: true, measured_at: AT })).toBe("good");
    expect(sloState({ met: false, measured_at: AT })).toBe("bad");
  });
  it("without a request is neither", () => expect(sloState({ met: null, measured_at: AT })).toBe("unknown"));
  it("that nobody measured yet waits", () => expect(sloState({ met: null, measured_at: null })).toBe("waiting"));
});

it("only what fires is firing", () => expect(["ok", "pending", "firing"].filter((phase) => isFiring({ phase }))).toEqual(["firing"]));

it.each([
  ["response_time_ms.p95", "ms"],
  ["response_time_ms.count", ""],
  ["error_rate", "ratio"],
  ["goodput", "ratio"],
  ["cost_usd", "USD"],
  ["cost_usd.max", "USD"],
  ["request_bytes", "bytes"],
  ["output_tokens_per_second.p50", "tokens/s"],
  ["requests", ""],
  ["concurrency_max", ""],
])("the unit of %s is %s", (metric, unit) => expect(unitOfMetric(metric)).toBe(unit));
