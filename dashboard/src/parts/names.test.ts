import { expect, it } from "vitest";

import type { Speech } from "../i18n";
import { filterOf, valueName } from "./names";

it("filters by what there is a filter for", () => {
  expect(filterOf("model", "gpt-4o")).toEqual({ model: "gpt-4o" });
  expect(filterOf("model", null)).toBeNull();
  expect(filterOf("weekday", 3)).toBeNull();
});
it("adds a tag to those that are selected, once", () => {
  expect(filterOf("tag:team", "search")).toEqual({ tag: "team=search" });
  expect(filterOf("tag:team", "search", "env=prod")).toEqual({ tag: "env=prod,team=search" });
  expect(filterOf("tag:team", "search", "team=search")).toEqual({ tag: "team=search" });
});
it("calls values of the program's own in the reader's language, and all others as they are", () => {
  const words: Readonly<Record<string, string>> = { "term.outcome.completed": "abgeschlossen" };
  const t = ((key: string) => words[key]) as Speech["t"];
  expect(valueName("completed", "outcome", t)).toBe("abgeschlossen");
  expect(valueName("of_a_newer_version", "outcome", t)).toBe("of a newer version");
  expect(valueName("completed", "model", t)).toBe("completed");
});
