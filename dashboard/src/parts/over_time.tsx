/** A card with lines over the buckets of an answer that names its series, such as that of servers. */
import type * as echarts from "echarts/core";
import { useCallback, useMemo, useRef } from "react";

import { useView } from "../app/view";
import { Chart, type Paint, pictureOf } from "../charts/chart";
import { useAxes, useZoom } from "../charts/hooks";
import { lines, type Series, without } from "../charts/options";
import { headed } from "../format/columns";
import { isoIn, moment } from "../format/times";
import { useSpeech } from "../i18n";
import { Card } from "./card";
import { useHidden } from "./legend";
import type { Reader, Table } from "./tables";

export interface Line {
  readonly name: string;
  readonly values: readonly (number | null)[] | undefined;
}

interface Props {
  readonly title: string;
  readonly label: string;
  readonly className?: string;
  readonly source: string;
  readonly times: readonly string[];
  readonly lines: readonly Line[];
  readonly show: (value: number, locale: string) => string;
}

function tableOf(times: readonly string[], drawn: readonly Line[], { t, locale, zone }: Reader): Table {
  const columns = drawn.map(({ values }) => headed(values ?? [], "", locale));
  return {
    head: ["time", ...drawn.map(({ name }) => name)],
    rows: times.map((at, index) => [isoIn(at, zone), ...drawn.map(({ values }) => values?.[index] ?? null)]),
    shown: {
      head: [{ name: t("table.time"), isNumber: false }, ...drawn.map(({ name }) => ({ name, isNumber: true }))],
      rows: times.map((at, index) => [moment(at, locale, zone), ...columns.map(({ show }, of) => show(drawn[of]?.values?.[index]))]),
    },
  };
}

export function LinesOverTime({ title, label, className = "third", source, times, lines: all, show }: Props) {
  const { t, locale } = useSpeech();
  const { zone } = useView();
  const handle = useRef<echarts.ECharts | null>(null);
  const zoom = useZoom();
  const axes = useAxes((value) => show(value, locale), title);
  const drawn = all.filter(({ values }) => values?.some((value) => value !== null) === true);
  const series = useMemo<readonly Series[]>(
    () => drawn.map(({ name, values }) => ({ name, colour: all.findIndex((each) => each.name === name), points: times.map((at, index) => [Date.parse(at), values?.[index] ?? null] as const) })),
    // what is drawn is made anew with each answer; the answer itself decides
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [times, all],
  );
  const chosen = useHidden(series);
  const { hidden } = chosen;
  const option = useCallback((paint: Paint) => without(lines(series, paint, axes), hidden), [series, axes, hidden]);
  return (
    <Card title={title} className={className} source={source} picture={() => pictureOf(handle.current)} {...(series.length === 0 ? {} : { legend: chosen, table: tableOf(times, drawn, { t, locale, zone }) })}>
      {series.length === 0 ? <p className="centre">{t("servers.unsaid")}</p> : <Chart option={option} label={label} handle={handle} onZoom={zoom} />}
    </Card>
  );
}
