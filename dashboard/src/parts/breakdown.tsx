/** The largest values of one dimension; a click on one filters the page by it. */
import { useCallback, useMemo } from "react";

import { useAnswer } from "../api/query";
import { useView } from "../app/view";
import type { Paint } from "../charts/chart";
import { ranking } from "../charts/options";
import { unitOf, withUnit } from "../format/numbers";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { type FilterName, FILTER_NAMES } from "../state/search";
import { ChartCard } from "./chart_card";
import { nameOf } from "./names";

interface Props {
  readonly title: Key;
  readonly dimension: string;
  readonly metric: string;
  readonly className?: string;
  readonly limit?: number;
  /** Leave out records that have no value: completed ones have no category of error. */
  readonly errorsOnly?: boolean;
}

const FEW = 8;

export function BreakdownCard({ title, dimension, metric, className = "half", limit = FEW, errorsOnly = false }: Props) {
  const { t, locale } = useSpeech();
  const { change } = useView();
  const answer = useAnswer({ metrics: metric === "requests" ? [metric] : [metric, "requests"], groupBy: [dimension], order: `-${metric}`, limit: limit + 1 });
  const unit = unitOf(answer.data?.columns, metric);
  const bands = useMemo(
    () =>
      (answer.data?.rows ?? [])
        .filter((row) => row.merged === 0 && !(errorsOnly && row.key[dimension] === null) && (row.values[metric]?.value ?? null) !== null)
        .slice(0, limit)
        .map((row) => ({ name: nameOf(row, dimension, t), value: row.values[metric]?.value ?? null })),
    [answer.data, dimension, metric, errorsOnly, limit, t],
  );
  const option = useCallback((paint: Paint) => ranking(bands, paint, (value) => withUnit(value, unit, locale)), [bands, unit, locale]);
  const pick = useCallback(
    (name: string) => {
      if (FILTER_NAMES.includes(dimension as FilterName) && name !== t("table.none")) change({ [dimension]: name });
    },
    [change, dimension, t],
  );
  const label = `${t(title)}: ${bands.map(({ name, value }) => `${name} ${withUnit(value, unit, locale)}`).join(", ")}`;
  const nothing = bands.length > 0 ? undefined : t(errorsOnly ? "errors.none" : "state.unknown");
  return <ChartCard title={t(title)} className={className} answer={answer} option={option} label={label} nothing={nothing} onPick={pick} />;
}
