import { expect, it } from "vitest";

import { clicked, columnOf, isDescending, NEWEST } from "./order";

it("begins with the greatest number, the newest time and the first word, and turns around", () => {
  expect(clicked(NEWEST, "response_time_ms", true)).toBe("-response_time_ms");
  expect(clicked("-response_time_ms", "response_time_ms", true)).toBe("response_time_ms");
  expect(clicked("response_time_ms", "response_time_ms", true)).toBe("-response_time_ms");
  expect(clicked(NEWEST, "model", false)).toBe("model");
  expect(clicked("model", "timestamp", false)).toBe(NEWEST);
});
it("says its column and direction", () => expect([columnOf("-a"), columnOf("a"), isDescending("-a"), isDescending("a")]).toEqual(["a", "a", true, false]));
