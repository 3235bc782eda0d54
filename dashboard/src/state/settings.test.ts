import { expect, it } from "vitest";

import { found, type SettingRow, shown } from "./settings";

const row = (name: string, value: SettingRow["value"], more: Partial<SettingRow> = {}): SettingRow => ({ name, value, group: "Limits", origin: "default", meaning: "", ...more });

it.each([
  ["max_body_bytes", "67108864", "64 MiB"],
  ["journal_max_bytes", "2147483648", "2 GiB"],
  ["body_min_bytes_per_s", "1024", "1 KiB/s"],
  ["first_byte_timeout_s", "600.0", "10 min"],
  ["journal_fsync_interval_s", "1.0", "1 sec"],
  ["ingest_interval_ms", "200", "200 ms"],
  ["migration_undo_days", "30", "30 days"],
  ["retention_days", "0", "0"],
  ["max_connections", "10000", "10000"],
  ["allowed_hosts", "[]", "–"],
  ["backend", "none", "–"],
  ["insecure", "false", "false"],
])("%s = %s reads %s", (name, value, text) => expect(shown(row(name, value), "en")).toBe(text));

it("finds settings by any words of theirs, and those that were changed", () => {
  const rows = [row("max_body_bytes", "1", { meaning: "Maximum size of a request's JSON body" }), row("port", "9", { group: "Addresses", origin: "flag --port" })];
  const names = (words: string, changedOnly = false) => found(rows, words, changedOnly).map(({ name }) => name);
  expect(names("")).toEqual(["max_body_bytes", "port"]);
  expect(names("json BODY")).toEqual(["max_body_bytes"]);
  expect(names("max body")).toEqual(["max_body_bytes"]);
  expect(names("addresses")).toEqual(["port"]);
  expect(names("", true)).toEqual(["port"]);
  expect(names("nothing like that")).toEqual([]);
});
