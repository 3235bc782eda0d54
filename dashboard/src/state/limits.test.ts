import { expect, it } from "vitest";

import type { Budget, Quota } from "../api/quotas";
import { burnDown, byKey, nearLimits, toneOf } from "./limits";

const AT = Date.parse("2026-11-29T12:00:00Z");
const iso = (hours: number) => new Date(AT + hours * 3_600_000).toISOString();
const quota = (changes: Partial<Quota> = {}): Quota =>
  ({ backend: "b", api_key_id: "k", limit: "primary", left: null, left_ratio: 0.5, window_s: 18_000, measured_at: iso(2), began_at: iso(0), resets_at: iso(5), verdict: "lasts", left_at_reset_ratio: 0.2, samples: [{ at: iso(1), left_ratio: 0.8, left: null }, { at: iso(2), left_ratio: 0.5, left: null }], past: [], ...changes }) as Quota;
const budget = (...states: string[]): Budget => ({ name: "b", standings: states.map((state) => ({ value: state, state })) }) as unknown as Budget;

it("is calm about what lasts, and says what does not", () => {
  expect(toneOf(quota())).toBe("good");
  expect(toneOf(quota({ verdict: "runs_out" }))).toBe("warn");
  expect(toneOf(quota({ left_ratio: 0.19 }))).toBe("warn");
  expect(toneOf(quota({ verdict: "used_up", left_ratio: 0 }))).toBe("bad");
  expect(toneOf(quota({ is_over: true, left_ratio: null }))).toBe("");
});

it("draws on to the reset, or to nothing and along it", () => {
  const lasting = burnDown(quota());
  expect(lasting.left).toEqual([[AT, 1], [AT + 3_600_000, 0.8], [AT + 7_200_000, 0.5]]);
  expect(lasting.projected).toEqual([[AT + 7_200_000, 0.5], [AT + 18_000_000, 0.2]]);
  expect(burnDown(quota({ verdict: "runs_out", runs_out_at: iso(4), left_at_reset_ratio: 0 })).projected).toEqual([[AT + 7_200_000, 0.5], [AT + 14_400_000, 0], [AT + 18_000_000, 0]]);
  expect(burnDown(quota({ left_at_reset_ratio: null })).projected).toEqual([]);
  expect(burnDown(quota({ samples: [] }))).toEqual({ left: [], projected: [] });
});

it("names only what is near", () => {
  const minutes = quota({ window_s: null, left_ratio: 0 });
  const found = nearLimits([quota(), minutes, quota({ limit: "secondary", verdict: "runs_out" })], [budget("ok", "near", "over")]);
  expect(found.windows.map(({ limit }) => limit)).toEqual(["secondary"]);
  expect(found.standings.map(({ standing }) => standing.value)).toEqual(["near", "over"]);
});

it("keeps the windows of one key together", () => {
  expect(byKey([quota(), quota({ api_key_id: "x" }), quota({ limit: "secondary" })]).map(([, each]) => each.length)).toEqual([2, 1]);
});
