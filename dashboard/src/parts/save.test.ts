import { expect, it } from "vitest";

import { csv } from "./save";

it("quotes what needs quoting, and runs no formula", () => {
  expect(csv(["a", "b"], [['say "hi"', null], ["=1+1", -1], ["x,y", 0]])).toBe('a,b\r\n"say ""hi""",\r\n\'=1+1,-1\r\n"x,y",0\r\n');
});
