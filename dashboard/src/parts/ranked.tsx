/** The few largest of something as horizontal bars: each name has the whole row, its value stands at the end. */
import type { ReactNode } from "react";

import { drawnPicture } from "../charts/chart";
import { ranking } from "../charts/spread";

export interface Ranked {
  readonly name: string;
  readonly value: number | null;
  readonly text: string;
  /** In the period before. */
  readonly previous?: number | null;
  /** Beside the value. */
  readonly beside?: ReactNode;
  /** What a press on it does. */
  readonly act?: () => void;
  /** Stands for many others, which no bar can be compared with. */
  readonly isRest?: boolean;
}

const LEAST = 0.004; // something is never drawn as nothing

/** Lengths of bars, from 0 to 1: of the largest; on a log scale, of the decades from the one that the least lies in. Pure. */
export function sharesOf(values: readonly (number | null | undefined)[], log: boolean): (value: number | null | undefined) => number {
  const known = values.filter((value): value is number => typeof value === "number" && value > 0);
  if (known.length === 0) return () => 0;
  const [most, least] = [Math.max(...known), 10 ** (Math.ceil(Math.log10(Math.min(...known))) - 1)];
  return (value) => (typeof value !== "number" || value <= 0 ? 0 : Math.max(LEAST, Math.min(1, log ? Math.log(value / least) / Math.log(most / least) : value / most)));
}

const [PICTURE_PX, ROW_PX] = [720, 30];

export function rankedPicture(bands: readonly Ranked[], log = false): string {
  const drawn = bands.filter(({ isRest }) => isRest !== true);
  const texts = new Map(drawn.map(({ value, text }) => [value, text]));
  return drawnPicture((paint) => ranking(drawn, paint, (value) => texts.get(value) ?? "", log), PICTURE_PX, ROW_PX * (drawn.length + 1));
}

export function RankedBars({ bands, label, log = false }: { bands: readonly Ranked[]; label: string; log?: boolean }) {
  const share = sharesOf(bands.flatMap(({ value, previous, isRest }) => (isRest === true ? [] : [value, previous])), log);
  return (
    <ol className="ranked" aria-label={label}>
      {bands.map(({ name, value, text, previous, beside, act, isRest = false }, index) => {
        const inside = (
          <>
            {!isRest && <span className="fill" style={{ width: `${share(value) * 100}%` }} />}
            {!isRest && typeof previous === "number" && <span className="before" style={{ insetInlineStart: `calc(${share(previous) * 100}% - 1px)` }} />}
            <span className="name">{name}</span>
          </>
        );
        return (
          <li key={`${index} ${name}`} className={isRest ? "rest" : ""}>
            {act === undefined ? (
              <span className="ranked-name" title={name}>
                {inside}
              </span>
            ) : (
              <button type="button" className="ranked-name" title={name} onClick={act}>
                {inside}
              </button>
            )}
            <span className="number">
              {text}
              {beside}
            </span>
          </li>
        );
      })}
    </ol>
  );
}
