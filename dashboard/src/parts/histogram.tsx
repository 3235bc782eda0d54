/** How one number is spread: a histogram over bins that are the same for all data. */
import type * as echarts from "echarts/core";
import { useCallback, useMemo, useRef } from "react";

import { useAnswer } from "../api/query";
import { Chart, type Paint } from "../charts/chart";
import { histogram } from "../charts/options";
import { count, withUnit } from "../format/numbers";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/en";
import { Card } from "./card";
import { Loaded } from "./states";
import { plainTable } from "./tables";

const UNITS: Readonly<Record<string, string>> = { output_tokens_per_second: "tokens/s", tokens_per_second: "tokens/s" };

export function HistogramCard({ title, column, className = "half" }: { title: Key; column: string; className?: string }) {
  const { t, locale } = useSpeech();
  const handle = useRef<echarts.ECharts | null>(null);
  const dimension = `bin:${column}`;
  const answer = useAnswer({ metrics: ["requests"], groupBy: [dimension], order: dimension, limit: 200 });
  const bins = useMemo(
    () =>
      (answer.data?.rows ?? [])
        .filter((row) => row.key[dimension] !== null && row.key[dimension] !== undefined)
        .map((row) => ({ from: Number(row.key[dimension]), n: row.values["requests"]?.value ?? 0 })),
    [answer.data, dimension],
  );
  const option = useCallback((paint: Paint) => histogram(bins, paint, (value) => withUnit(value, UNITS[column] ?? "ms", locale), (n) => count(n, locale)), [bins, column, locale]);
  return (
    <Card title={t(title)} className={className} table={answer.data && plainTable(answer.data)} handle={handle}>
      <Loaded from={answer} empty={() => bins.length === 0}>
        {() => <Chart option={option} label={t(title)} handle={handle} />}
      </Loaded>
    </Card>
  );
}
