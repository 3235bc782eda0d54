import { expect, it } from "vitest";

import { withoutLinks } from "./marked";

it.each([
  ["See [Cost](topics/cost.md).", "See Cost (docs/topics/cost.md)."],
  ["[A](a.md) and [B](b.md#c)", "A (docs/a.md) and B (docs/b.md#c)"],
  ["each a table `[[slos]]` (of the file)", "each a table `[[slos]]` (of the file)"],
])("shows %j as %j", (text, shown) => expect(withoutLinks(text)).toBe(shown));
