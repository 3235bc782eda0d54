import { expect, it } from "vitest";

import { pressed } from "./keys";

const key = (name: string, more: object = {}) => ({ key: name, ctrl: false, alt: false, elsewhere: false, ...more });

it("goes to a view by g and its letter, and by nothing else", () => {
  const first = pressed(key("g"), null, true);
  expect(first).toEqual({ act: null, waits: "g" });
  expect(pressed(key("M"), first.waits, true)).toEqual({ act: { kind: "go", letter: "m" }, waits: null });
  expect(pressed(key("m"), null, true).act).toBeNull();
});
it("opens the palette even from a field, and does nothing else there", () => {
  expect(pressed(key("K", { ctrl: true, elsewhere: true }), null, false).act).toEqual({ kind: "palette" });
  expect(pressed(key("?", { elsewhere: true }), null, true).act).toBeNull();
});
it("leaves single keys alone where they are turned off, and keys of the browser always", () => {
  expect(pressed(key("p"), null, false).act).toBeNull();
  expect(pressed(key("p", { ctrl: true }), null, true).act).toBeNull();
  expect(pressed(key("p"), null, true).act).toEqual({ kind: "live" });
});
