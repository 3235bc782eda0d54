/** A few values as horizontal bars in HTML: readable without a canvas. */
export interface BarRow {
  readonly name: string;
  readonly text: string;
  /** Both as shares of the whole, from 0 to 1. */
  readonly from?: number;
  readonly share: number;
  readonly colour?: number;
}

const LEAST = 0.004; // something is never drawn as nothing

export function Bars({ rows, label, className = "" }: { rows: readonly BarRow[]; label: string; className?: string }) {
  return (
    <ul className={`bars ${className}`} aria-label={label}>
      {rows.map(({ name, text, from = 0, share, colour }) => (
        <li key={name}>
          <span>{name}</span>
          <span className="track">
            <span
              className="fill"
              style={{
                marginInlineStart: `${Math.min(from, 1 - LEAST) * 100}%`,
                width: `${Math.max(LEAST, share) * 100}%`,
                ...(colour === undefined ? {} : { background: `var(--series-${(colour % 8) + 1})` }),
              }}
            />
          </span>
          <span className="number">{text}</span>
        </li>
      ))}
    </ul>
  );
}
