import { expect, it } from "vitest";

import type { SessionRequest } from "../api/sessions";
import { boxesOf, LEAST_PX } from "./session_boxes";

const frame = { xOf: (ms: number) => ms, width: 100, contextTop: 10, contextHeight: 50, most: 1000, barTop: () => 70, barHeight: 13 };
const request = (start_ms: number, more: Partial<SessionRequest> = {}): SessionRequest =>
  ({ start_ms, response_time_ms: 20, agent_id: null, success: true, waiting_ms: 1, first_token_ms: 9, generating_ms: 10, prompt_tokens: 600, cached_tokens: 200, cache: "hit", ...more }) as SessionRequest;

it("stacks what was not cached on what was", () => {
  const { cached, fresh } = boxesOf([request(5)], frame);
  expect(cached).toEqual([[5, 50, 19.4, 10]]);
  expect(fresh).toEqual([[5, 30, 19.4, 20]]);
});
it("draws the parts of each request side by side", () => {
  const { parts } = boxesOf([request(0)], frame);
  expect([parts.waiting, parts.first_token, parts.generating]).toEqual([[[0, 70, 1, 13]], [[1, 70, 9, 13]], [[10, 70, 10, 13]]]);
});
it("shows failures as one box, misses by their middle, and nothing as something", () => {
  const { failed, missed, parts } = boxesOf([request(0, { success: false, response_time_ms: null, cache: "miss" })], frame);
  expect(failed).toEqual([[0, 70, LEAST_PX, 13]]);
  expect(missed).toEqual([LEAST_PX / 2]);
  expect(parts.generating).toEqual([]);
});
it("leaves out what is not in sight", () => expect(boxesOf([request(-50), request(200)], frame).fresh).toEqual([]));
