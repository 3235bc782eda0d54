/** What a group of an answer is called. */
import type { Row } from "../api/query";
import type { Speech } from "../i18n";

/** The value itself; or that there is none; or that many groups stand together in this one row. */
export function nameOf(row: Row, dimension: string, t: Speech["t"]): string {
  if (row.merged > 0) return t("table.others", { count: row.merged });
  const value = row.key[dimension];
  return value === null || value === undefined ? t("table.none") : String(value);
}
