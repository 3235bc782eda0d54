/** What the colours of a chart mean, as text that can be read and selected; pressed, an entry hides its series. */
import { useCallback, useMemo, useState } from "react";

import { useSpeech } from "../i18n";

export interface LegendItem {
  readonly name: string;
  /** Which of the eight colours of series, from 0. */
  readonly colour: number;
  /** Drawn with a broken line, as what was before is. */
  readonly dashed?: boolean;
}

/** A legend, and what its reader does not want to see. */
export interface Chosen {
  readonly items: readonly LegendItem[];
  readonly hidden: ReadonlySet<string>;
  readonly toggle: (name: string) => void;
}

const NOTHING: readonly LegendItem[] = [];

/** What is hidden stays so while answers are renewed. Of nothing left to see, all is shown again. Pure. */
export function toggled(hidden: ReadonlySet<string>, name: string, names: readonly string[]): ReadonlySet<string> {
  const next = new Set(hidden);
  if (!next.delete(name)) next.add(name);
  return names.every((each) => next.has(each)) ? new Set() : next;
}

export function useHidden(given: readonly LegendItem[] | undefined): Chosen {
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const items = given ?? NOTHING;
  const toggle = useCallback((name: string) => setHidden((before) => toggled(before, name, items.map((each) => each.name))), [items]);
  return useMemo(() => ({ items, hidden, toggle }), [items, hidden, toggle]);
}

function Entry({ name, colour, dashed }: LegendItem) {
  const series = `var(--series-${(colour % 8) + 1})`;
  return (
    <>
      <span className={dashed === true ? "swatch dashed" : "swatch"} style={dashed === true ? { borderColor: series } : { background: series }} />
      <span className="name" title={name}>
        {name}
      </span>
    </>
  );
}

export function Legend({ items, hidden, toggle }: Pick<Chosen, "items"> & Partial<Chosen>) {
  const { t } = useSpeech();
  return (
    <ul className="legend">
      {items.map((item) => (
        <li key={item.name}>
          {toggle === undefined || items.length < 2 ? (
            <Entry {...item} />
          ) : (
            <button type="button" aria-pressed={hidden?.has(item.name) !== true} aria-label={t("chart.show", { name: item.name })} onClick={() => toggle(item.name)}>
              <Entry {...item} />
            </button>
          )}
        </li>
      ))}
    </ul>
  );
}
