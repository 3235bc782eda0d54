import { expect, it } from "vitest";

import { OWN_CLIENTS, reachable } from "./own_clients";

it.each(OWN_CLIENTS)("$name is told the proxy's address", ({ text }) => expect(text("http://gpu:8001", "llama")).toContain("http://gpu:8001"));
it("Anthropic's clients get the address without /v1, OpenAI's with it", () => {
  const told = Object.fromEntries(OWN_CLIENTS.map(({ id, text }) => [id, text("http://gpu:8001", "llama")]));
  for (const id of ["claude-code", "anthropic"]) expect(told[id]).not.toContain("/v1");
  for (const id of ["curl", "openai-python", "openai-js", "codex", "langchain", "open-webui", "continue", "cline", "cursor"]) expect(told[id]).toContain("http://gpu:8001/v1");
});
it("a proxy that listens everywhere is reached where the page is", () => {
  expect(reachable("http://0.0.0.0:8001", "gpu.lan")).toBe("http://gpu.lan:8001");
  expect(reachable("http://[::]:8001", "gpu.lan")).toBe("http://gpu.lan:8001");
  expect(reachable("http://127.0.0.1:8001", "gpu.lan")).toBe("http://127.0.0.1:8001");
  expect(reachable("", "gpu.lan")).toBe("http://127.0.0.1:8001");
});
