import { expect, it } from "vitest";

import { tagKeys } from "./tags";

it("adds up keys and values over records that have several, the most used first", () => {
  const rows = [
    { tags: "env=prod,team=search", requests: 3 },
    { tags: "team=docs", requests: 5 },
    { tags: "team=a=b", requests: 1 },
    { tags: "nonsense", requests: 9 },
  ];
  expect(tagKeys(rows)).toEqual([
    { key: "team", requests: 9, values: [{ value: "docs", requests: 5 }, { value: "search", requests: 3 }, { value: "a=b", requests: 1 }] },
    { key: "env", requests: 3, values: [{ value: "prod", requests: 3 }] },
  ]);
});
