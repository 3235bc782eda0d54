import { describe, expect, it } from "vitest";

import { attention, isFiring, sloState, unitOfMetric } from "./watched";

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

describe("what needs a look", () => {
  const slo = (name: string, met: boolean | null, error: string | null = null) => ({ name, met, measured_at: AT, error });
  const alert = (name: string, phase: string, error: string | null = null) => ({ name, phase, error });
  const nothing = { missed: [], firing: [], unmeasured: [], waiting: false };

  it("is nothing where all is met and quiet, or where nobody asks", () => {
    expect(attention([], [])).toEqual(nothing);
    expect(attention([slo("met", true), slo("unasked", null)], [alert("quiet", "ok"), alert("soon", "pending")])).toEqual(nothing);
  });
  it("is what is missed, what fires, and what could not be measured", () =>
    expect(attention([slo("met", true), slo("missed", false), slo("broken", null, "no")], [alert("fires", "firing"), alert("blind", "ok", "no")])).toEqual({
      missed: ["missed"],
      firing: ["fires"],
      unmeasured: ["broken", "blind"],
      waiting: false,
    }));
  it("waits for the first measurement", () => expect(attention([{ name: "new", met: null, measured_at: null, error: null }], [])).toEqual({ ...nothing, waiting: true }));
});

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
