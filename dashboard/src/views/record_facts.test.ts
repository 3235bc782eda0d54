import { expect, it } from "vitest";

import { askerOf, endingOf, factsOf } from "./record_facts";

const columns = (record: Parameters<typeof factsOf>[0]) => factsOf(record).flatMap(({ facts }) => facts.map(({ column }) => column));

it("shows what is known, and nothing twice", () => {
  expect(columns({ model: "a", response_model: "a", attempts: 1, user: null, cost_usd: 0 })).toEqual(["model", "cost_usd"]);
  expect(columns({ model: "a", response_model: "b", attempts: 2 })).toEqual(["model", "response_model", "attempts"]);
});
it("says how it ended", () => {
  expect(endingOf({ success: true, outcome: "completed" })).toBe("answered");
  expect(endingOf({ success: false, outcome: "client_disconnected" })).toBe("left");
  expect(endingOf({ success: false, outcome: "timeout" })).toBe("failed");
});
it("names the most personal of those who asked", () => {
  expect(askerOf({ user: "alice", app: "codex" })).toBe("alice");
  expect(askerOf({ user: null, app: null, origin: "ide" })).toBe("ide");
  expect(askerOf({})).toBeNull();
});
