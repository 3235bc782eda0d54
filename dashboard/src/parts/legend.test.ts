import { expect, it } from "vitest";

import { toggled } from "./legend";

it("hides, shows again, and never hides the last one", () => {
  const names = ["a", "b"];
  const one = toggled(new Set(), "a", names);
  expect([...one]).toEqual(["a"]);
  expect([...toggled(one, "a", names)]).toEqual([]);
  expect([...toggled(one, "b", names)]).toEqual([]);
});
it("remembers a name that the newest answer does not have", () => expect([...toggled(new Set(["gone"]), "a", ["a", "b"])]).toEqual(["gone", "a"]));
