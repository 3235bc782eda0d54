/** One number that people look at first: what it is now, what it rests on, how it moved, and what it was before. */
import type { ReactNode } from "react";

import type { Cell } from "../api/query";
import { columnOf } from "../format/columns";
import { count, percent } from "../format/numbers";
import { useSpeech } from "../i18n";
import { moved } from "./moved";

/** No record tells it: it is not 0, it is not known. */
export const isNone = (cell: Cell | undefined): boolean => cell !== undefined && cell.n === 0 && cell.value === null;

export interface StatProps {
  readonly label: string;
  readonly hint?: string;
  readonly cell: Cell | undefined;
  /** As the API names units. */
  readonly unit: string;
  /** Which direction is good news; `none`: neither. */
  readonly good: "up" | "down" | "none";
  readonly trend: readonly (number | null)[];
  /** Part of it is an estimate. */
  readonly estimated?: boolean;
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

interface TileProps {
  readonly label: string;
  /** What the number means. */
  readonly hint?: string | undefined;
  readonly value: string;
  /** What is to be known of the value itself. */
  readonly about?: string | undefined;
  /** There is no value: it is said, and quietly. */
  readonly none?: boolean;
  readonly beside: ReactNode;
  readonly below?: ReactNode;
  /** Its room is kept while it is empty; none at all where there is no such list. */
  readonly trend?: readonly (number | null)[] | undefined;
}

const titled = (told: ReactNode) => (typeof told === "string" ? { title: told } : {});

/** A number under its name, with two lines about it and its course. */
export function Tile({ label, hint, value, about, none = false, beside, below, trend }: TileProps) {
  const { t } = useSpeech();
  return (
    <div className="stat" title={hint}>
      <dt title={label}>{label}</dt>
      <dd>
        <div className={none ? "value none" : "value"} title={about}>
          {value}
        </div>
        <div className="beside">
          {none ? <span>{t("metric.noData")}</span> : <span {...titled(beside)}>{beside}</span>}
          <span {...titled(below)}>{below}</span>
        </div>
        {trend !== undefined && (
          <svg viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true">
            {sparkline(trend).map((points) => (
              <polyline key={points} points={points} fill="none" stroke="var(--accent)" strokeWidth="1.5" vectorEffect="non-scaling-stroke" />
            ))}
          </svg>
        )}
      </dd>
    </div>
  );
}

export function Stat({ label, hint, cell, unit, good, trend, estimated = false }: StatProps) {
  const { t, locale } = useSpeech();
  const previous = cell?.previous ?? null;
  const show = columnOf([cell?.value, previous], unit, locale);
  const beside = (
    <>
      {moved(cell?.change, good, locale)}
      {/* what counts records rests on as many: it is said once */}
      {cell !== undefined && cell.n !== cell.value && <span title={t("metric.coverage", { share: percent(cell.coverage, locale) })}>{t("metric.n", { n: count(cell.n, locale) })}</span>}
    </>
  );
  return (
    <Tile
      label={label}
      hint={hint}
      value={`${estimated ? "≈ " : ""}${show(cell?.value)}`}
      about={estimated ? t("costs.estimated") : undefined}
      none={isNone(cell)}
      beside={beside}
      below={previous === null ? undefined : t("metric.previous", { value: show(previous) })}
      trend={trend}
    />
  );
}
