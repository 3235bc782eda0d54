/** Answers as tables: what a chart draws, for readers and for files. Pure. */
import type { Answer } from "../api/query";
import type { Table } from "./data_table";

/** A row per row of the answer: its dimensions, then its metrics. */
export function plainTable(answer: Answer): Table {
  return {
    head: answer.columns.map(({ name }) => name),
    rows: answer.rows.map((row) => answer.columns.map(({ name, kind }) => (kind === "dimension" ? (row.key[name] ?? null) : (row.values[name]?.value ?? null)))),
  };
}
