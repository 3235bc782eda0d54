/** The largest values of one dimension; a click on one filters the page by it. */
import { useMemo } from "react";

import { useAnswer } from "../api/query";
import { useView } from "../app/view";
import { columnOf } from "../format/columns";
import { unitOf } from "../format/numbers";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import type { CardLink } from "../views/cards";
import { ChartCard } from "./chart_card";
import { MoreLink } from "./more_link";
import { filterOf, nameOf } from "./names";
import { RankedBars, rankedPicture } from "./ranked";

interface Props {
  readonly title: Key;
  readonly dimension: string;
  readonly metric: string;
  readonly className?: string;
  readonly limit?: number;
  /** Leave out records that have no value: completed ones have no category of error. */
  readonly errorsOnly?: boolean;
  /** What the number is, where its title is not enough. */
  readonly hint?: Key;
  readonly more?: CardLink;
}

const FEW = 8;

export function BreakdownCard({ title, dimension, metric, className = "half", limit = FEW, errorsOnly = false, hint, more }: Props) {
  const { t, locale } = useSpeech();
  const { search, change } = useView();
  const answer = useAnswer({ metrics: metric === "requests" ? [metric] : [metric, "requests"], groupBy: [dimension], order: `-${metric}`, limit: limit + 1 });
  const unit = unitOf(answer.data?.columns, metric);
  const bands = useMemo(() => {
    const rows = (answer.data?.rows ?? []).filter((row) => row.merged === 0 && !(errorsOnly && row.key[dimension] === null) && (row.values[metric]?.value ?? null) !== null).slice(0, limit);
    const show = columnOf(rows.map((row) => row.values[metric]?.value), unit, locale);
    return rows.map((row) => {
      const value = row.values[metric]?.value ?? null;
      const filter = filterOf(dimension, row.key[dimension], search.tag);
      return { name: nameOf(row, dimension, t, locale), value, text: show(value), ...(filter === null ? {} : { act: () => change(filter) }) };
    });
  }, [answer.data, dimension, metric, errorsOnly, limit, unit, search.tag, change, t, locale]);
  const label = `${t(title)}: ${bands.map(({ name, text }) => `${name} ${text}`).join(", ")}`;
  const nothing = bands.length > 0 ? undefined : t(errorsOnly ? "errors.none" : "state.unknown");
  return (
    <ChartCard title={t(title)} className={className} answer={answer} nothing={nothing} picture={() => rankedPicture(bands)} tools={more && <MoreLink {...more} />} {...(hint === undefined ? {} : { hint: t(hint) })}>
      <RankedBars bands={bands} label={label} />
    </ChartCard>
  );
}
