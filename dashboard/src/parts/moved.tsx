/** How a number moved since the period before: an arrow, how far, and in which colour. */
import type { Cell, Row } from "../api/query";
import { count, formatter, rate } from "../format/numbers";
import { useSpeech } from "../i18n";

/** Which direction is good news; `none`: neither. */
export type Good = "up" | "down" | "none";

const FEW = 30; // records, on either side: how far they moved says little
const SMALL = 0.05; // of a table's many numbers, some move so far by themselves
const SMALL_RATE = 0.01;

const MANY_TIMES = 9; // from ten times on, percent say less than a factor

/** Of a change one decimal says enough. */
const moderately = (share: number, locale: string) => formatter(locale, { style: "percent", maximumFractionDigits: 1 }).format(share);

export function moved(change: number | null | undefined, good: Good, locale: string) {
  if (change === null || change === undefined || !Number.isFinite(change)) return null;
  const up = change >= 0;
  const tone = good === "none" || Math.abs(change) < 0.005 ? "" : `${up ? "up" : "down"}-${(up ? "up" : "down") === good ? "good" : "bad"}`;
  return (
    <span className={tone}>
      {Math.abs(change) < 0.0005 ? "±" : up ? "▲" : "▼"} {change >= MANY_TIMES ? `× ${rate(change + 1, locale)}` : moderately(Math.abs(change) < 0.0005 ? 0 : Math.abs(change), locale)}{" "}
    </span>
  );
}

/** Under the number of a table; grey where that is little, or rests on few records. Of a group that is new or gone, that, once a row. */
export function Delta({ row, cell, isFirst, good, rate: isRate, show }: { row: Row; cell: Cell | undefined; isFirst: boolean; good: Good; rate: boolean; show: (value: number | null | undefined) => string }) {
  const { t, locale } = useSpeech();
  if (cell === undefined || cell.previous_n === undefined) return null;
  if (row.presence !== undefined && row.merged === 0) return isFirst && <span className="delta">{t(row.presence === "new" ? "changes.new" : "changes.gone")}</span>;
  const title = t("changes.previous", { value: show(cell.previous), before: count(cell.previous_n, locale), n: count(cell.n, locale) });
  const little = Math.min(cell.n, cell.previous_n) < FEW || Math.abs(cell.change ?? 0) < (isRate ? SMALL_RATE : SMALL);
  return (
    <span className="delta" title={title}>
      {moved(cell.change, little ? "none" : good, locale)}
    </span>
  );
}
