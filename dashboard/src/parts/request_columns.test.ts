import { expect, it } from "vitest";

import { columnsOf, REQUEST_COLUMNS, roomFor, withColumn } from "./request_columns";

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

it("shows what the table is sorted by, right behind the time", () => {
  expect(columnsOf(undefined, "cost_usd").slice(0, 3).map(({ name }) => name)).toEqual(["timestamp", "cost_usd", "model"]);
  expect(columnsOf(undefined, "response_time_ms")).toEqual(columnsOf(undefined));
  expect(columnsOf("model", "top_p").map(({ name }) => name)).toEqual(["top_p", "model"]);
});
it("has the duration in sight on a phone", () => expect(columnsOf(undefined, "timestamp", true).slice(0, 3).map(({ name }) => name)).toEqual(["timestamp", "response_time_ms", "model"]));

it("makes room for the longest word of a heading, and for the arrow", () => {
  expect(roomFor(108, "Speed")).toBe(108);
  expect(roomFor(60, "Выходные токены")).toBeGreaterThan(60);
  expect(roomFor(60, "Antwortzeit", true)).toBeGreaterThan(roomFor(60, "Antwortzeit"));
  expect(roomFor(60, "キャッシュ済みトークンの数と割合")).toBe(60);
});
it("makes room for a whole time of day", () => expect(roomFor(148, "Time", false, "Nov 29, 11:12:55 PM")).toBeGreaterThan(166));
