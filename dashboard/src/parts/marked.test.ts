import { expect, it } from "vitest";

import { pieces } from "./marked";

it("takes links and names out of a text, and leaves the rest", () => {
  expect(pieces("See [Cost](topics/cost.md), and `a [b](c)`.")).toEqual([
    { kind: "text", text: "See " },
    { kind: "link", text: "Cost", to: "topics/cost.md" },
    { kind: "text", text: ", and " },
    { kind: "code", text: "a [b](c)" },
    { kind: "text", text: "." },
  ]);
  expect(pieces("each a table `[[slos]]` (of the file)").map(({ kind }) => kind)).toEqual(["text", "code", "text"]);
  expect(pieces("")).toEqual([]);
});
