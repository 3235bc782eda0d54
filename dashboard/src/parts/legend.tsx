/** What the colours of a chart mean, as text that can be read and selected. */
export interface LegendItem {
  readonly name: string;
  /** Which of the eight colours of series, from 0. */
  readonly colour: number;
}

export function Legend({ items }: { items: readonly LegendItem[] }) {
  return (
    <ul className="legend">
      {items.map(({ name, colour }) => (
        <li key={name}>
          <span className="swatch" style={{ background: `var(--series-${(colour % 8) + 1})` }} />
          <span className="name" title={name}>
            {name}
          </span>
        </li>
      ))}
    </ul>
  );
}
