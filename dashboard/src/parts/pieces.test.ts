import { expect, it } from "vitest";

import { leadsTo, pieces } from "./pieces";

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

it("leads to the pages of the documentation as the program serves them", () => {
  expect(leadsTo("topics/cost.md")).toEqual({ path: "/help/topics/cost.html" });
  expect(leadsTo("topics/backends.md#reload")).toEqual({ path: "/help/topics/backends.html#reload" });
  expect(leadsTo("https://example.org/a.md")).toEqual({ url: "https://example.org/a.md" });
});
