import { expect, it, vi } from "vitest";

vi.stubGlobal("document", { URL: "http://127.0.0.1:8002/" }); // where the page stands
const { ApiError, isUnanswered } = await import("./client");

it.each([
  [0, "network", true],
  [502, "unknown", true], // nginx, while the program starts again
  [503, "unknown", true], // HAProxy, Traefik, an ingress
  [504, "unknown", true],
  [503, "saturated", true],
  [503, "store_unavailable", false], // the program itself, whose words are shown
  [500, "internal_error", false],
  [500, "unknown", false],
  [404, "unknown", false],
])("of %i %s, whether nobody answered: %s", (status, kind, found) => expect(isUnanswered(new ApiError(status, "", kind))).toBe(found));
