import { expect, it } from "vitest";

import { columnsOf, REQUEST_COLUMNS, withColumn } from "./request_columns";

const names = (words: string | undefined) => columnsOf(words).map(({ name }) => name);

it("shows what a link names, in the table's order, and the usual columns otherwise", () => {
  expect(names("user,model,nonsense")).toEqual(["model", "user"]);
  expect(names(undefined)).toEqual(names("nonsense"));
  expect(names(undefined)[0]).toBe("timestamp");
});
it("takes a column in and out", () => {
  expect(withColumn(columnsOf("model"), "user", true)).toBe("model,user");
  expect(withColumn(columnsOf("model,user"), "model", false)).toBe("user");
});
it("has every column once", () => expect(new Set(REQUEST_COLUMNS.map(({ name }) => name)).size).toBe(REQUEST_COLUMNS.length));
