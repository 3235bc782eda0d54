import { expect, it } from "vitest";

import { waterfall } from "./waterfall";

it("phases follow each other without a gap", () => {
  const bars = waterfall({ body_complete_ms: 1, upstream_acquired_ms: 2, time_to_first_token_ms: 50, time_to_last_token_ms: 90, response_time_ms: 91 });
  expect(bars.map(({ phase }) => phase)).toEqual(["body", "connect", "first_token", "generate", "finish"]);
  expect(bars.every((bar, index) => bar.startMs === (bars[index - 1]?.endMs ?? 0))).toBe(true);
});
it("nonsense is left out, and time does not run backwards", () => {
  expect(waterfall({ body_complete_ms: "soon", request_sent_ms: 5, response_headers_ms: 3, response_time_ms: null })).toEqual([
    { phase: "send", startMs: 0, endMs: 5 },
    { phase: "wait", startMs: 5, endMs: 5 },
  ]);
});
