/** How one number is spread: a histogram over bins that are the same for all data. */
import { useCallback, useMemo } from "react";

import { MEASURED_COLUMNS } from "../api/columns";
import { useAnswer } from "../api/query";
import type { Paint } from "../charts/chart";
import { histogram } from "../charts/options";
import { count, withUnit } from "../format/numbers";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { filled } from "../state/bins";
import { ChartCard } from "./chart_card";

const UNITS: ReadonlyMap<string, string> = new Map(MEASURED_COLUMNS.map(({ name, unit }) => [name, unit]));

export function HistogramCard({ title, column, className = "half" }: { title: Key; column: string; className?: string }) {
  const { t, locale } = useSpeech();
  const dimension = `bin:${column}`;
  const answer = useAnswer({ metrics: ["requests"], groupBy: [dimension], order: dimension, limit: 200 });
  const bins = useMemo(
    () =>
      filled(
        (answer.data?.rows ?? [])
          .filter((row) => row.key[dimension] !== null && row.key[dimension] !== undefined)
          .map((row) => ({ from: Number(row.key[dimension]), n: row.values["requests"]?.value ?? 0 })),
      ),
    [answer.data, dimension],
  );
  const option = useCallback((paint: Paint) => histogram(bins, paint, (value) => withUnit(value, UNITS.get(column) ?? "ms", locale), (n) => count(n, locale)), [bins, column, locale]);
  return <ChartCard title={`${t(title)} · ${t("explore.histogram")}`} className={className} answer={answer} option={option} nothing={bins.length > 0 ? undefined : t("state.unknown")} />;
}
