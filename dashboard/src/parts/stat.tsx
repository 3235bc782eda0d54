/** One number that people look at first: what it is now, what it rests on, how it moved, and what it was before. */
import type { Cell } from "../api/query";
import { count, percent, rate } from "../format/numbers";
import { useSpeech } from "../i18n";

export interface StatProps {
  readonly label: string;
  readonly hint?: string;
  readonly cell: Cell | undefined;
  readonly show: (value: number | null | undefined, locale: string) => string;
  /** Which direction is good news; `none`: neither. */
  readonly good: "up" | "down" | "none";
  readonly trend: readonly (number | null)[];
}

/** Points of a polyline in a box of 100 by 30; gaps break the line. Pure. */
export function sparkline(values: readonly (number | null)[]): string[] {
  const known = values.filter((value) => value !== null);
  if (known.length < 2) return [];
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const height = high - low || 1;
  const pieces: string[][] = [[]];
  values.forEach((value, index) => {
    if (value === null) {
      pieces.push([]);
      return;
    }
    const [x, y] = [(index / (values.length - 1)) * 100, 27 - ((value - low) / height) * 24];
    pieces.at(-1)?.push(`${x.toFixed(2)},${y.toFixed(2)}`);
  });
  return pieces.filter((piece) => piece.length > 1).map((piece) => piece.join(" "));
}

const MANY_TIMES = 9; // from ten times on, percent say less than a factor

function moved(change: number | null | undefined, good: StatProps["good"], locale: string) {
  if (change === null || change === undefined || !Number.isFinite(change)) return null;
  const up = change >= 0;
  const tone = good === "none" || Math.abs(change) < 0.005 ? "" : `${up ? "up" : "down"}-${(up ? "up" : "down") === good ? "good" : "bad"}`;
  return (
    <span className={tone}>
      {Math.abs(change) < 0.0005 ? "±" : up ? "▲" : "▼"} {change >= MANY_TIMES ? `× ${rate(change + 1, locale)}` : percent(Math.abs(change), locale)}{" "}
    </span>
  );
}

export function Stat({ label, hint, cell, show, good, trend }: StatProps) {
  const { t, locale } = useSpeech();
  return (
    <div className="stat" title={hint}>
      <dt>{label}</dt>
      <dd>
        <div className="value">{show(cell?.value, locale)}</div>
        <div className="beside">
          <span>
            {moved(cell?.change, good, locale)}
            {cell !== undefined && <span title={t("metric.coverage", { share: percent(cell.coverage, locale) })}>{t("metric.n", { n: count(cell.n, locale) })}</span>}
          </span>
          <span>{cell?.previous !== null && cell?.previous !== undefined && t("metric.previous", { value: show(cell.previous, locale) })}</span>
        </div>
        <svg viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true">
          {sparkline(trend).map((points) => (
            <polyline key={points} points={points} fill="none" stroke="var(--accent)" strokeWidth="1.5" vectorEffect="non-scaling-stroke" />
          ))}
        </svg>
      </dd>
    </div>
  );
}
