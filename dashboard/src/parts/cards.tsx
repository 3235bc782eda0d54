/** Rows of the table of cards, drawn. */
import type { CardRow } from "../views/cards";
import { BreakdownCard } from "./breakdown";
import { ByTime } from "./by_time";
import { Comparison } from "./comparison";
import { HistogramCard } from "./histogram";
import { PercentilesOverTime } from "./percentiles";

function DrawnCard({ row }: { row: CardRow }) {
  switch (row.kind) {
    case "percentiles":
      return <PercentilesOverTime {...row} />;
    case "histogram":
      return <HistogramCard {...row} />;
    case "breakdown":
      return <BreakdownCard {...row} />;
    case "by_time":
      return <ByTime {...row} />;
    case "comparison":
      return <Comparison {...row} />;
  }
}

export function Cards({ rows }: { rows: readonly CardRow[] }) {
  return rows.map((row, index) => <DrawnCard key={`${index} ${row.kind} ${row.title}`} row={row} />);
}
