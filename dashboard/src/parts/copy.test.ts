import { expect, it } from "vitest";

import { curl } from "./copy";

it("names the token where one is needed, and never tells it", () => {
  expect(curl("http://127.0.0.1:8002/llm/health", false)).toBe("curl -s 'http://127.0.0.1:8002/llm/health'");
  expect(curl("http://h/health", true)).toContain("Bearer $LLM_METRICS_PROXY_METRICS_TOKEN");
});
it("leaves no way out of the quotes", () => expect(curl("http://h/q?model=';rm+-rf+'", false)).toBe("curl -s 'http://h/q?model=%27;rm+-rf+%27'"));
