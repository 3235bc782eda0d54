import { expect, it } from "vitest";

import { shortestFor } from "./beginning";

const MINUTE = 60_000;

it.each([
  [0, "15m"],
  [12 * MINUTE, "15m"],
  [13 * MINUTE, "1h"],
  [50 * MINUTE, "1h"],
  [51 * MINUTE, "6h"],
  [360 * MINUTE, "6h"],
  [361 * MINUTE, null],
])("records of %d ms are held by %s", (age, span) => expect(shortestFor(age)).toBe(span));
