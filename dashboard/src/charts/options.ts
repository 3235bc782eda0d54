/** From an answer to what ECharts draws. Pure; tooltips are drawn on the canvas, since the page allows no inline style. */
import type { EChartsCoreOption } from "echarts/core";

import type { Answer, Row } from "../api/query";
import type { Paint } from "./chart";

export interface Series {
  readonly name: string;
  /** (Unix milliseconds, value), in order of time; `null` is a gap. */
  readonly points: readonly (readonly [number, number | null])[];
  /** Which of the eight colours of series, from 0. */
  readonly colour: number;
}

type Name = (row: Row) => string;

/**
 * A name from outside for a canvas, which knows no isolation: marks of direction and control characters are shown as
 * such, and `{a|b}`, which the canvas would read as a style, stays as it is written.
 */
export function plain(name: string): string {
  // eslint-disable-next-line no-control-regex
  return name.replaceAll(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, "\ufffd").replaceAll("{", "{\u2060");
}

/** One series per value of `name`, or one per metric where the answer has no other dimension than time. */
export function seriesOf(answer: Answer, metrics: readonly { metric: string; name: string }[], name?: Name): Series[] {
  const found = new Map<string, [number, number | null][]>();
  for (const row of answer.rows) {
    const at = Date.parse(String(row.key["time"]));
    for (const each of metrics) {
      const key = name === undefined ? each.name : name(row);
      let points = found.get(key);
      if (points === undefined) found.set(key, (points = []));
      points.push([at, row.values[each.metric]?.value ?? null]);
    }
  }
  return [...found].map(([key, points], colour) => ({ name: key, points, colour }));
}

export interface Axes {
  readonly value: (value: number) => string;
  readonly time: (ms: number) => string;
  readonly moment: (ms: number) => string;
}

const AXIS_LABEL = 11;

function frame(paint: Paint): EChartsCoreOption {
  return {
    textStyle: { fontFamily: paint.font, color: paint.muted },
    color: [...paint.series],
    grid: { left: 8, right: 12, top: 12, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
  };
}

function tooltip(paint: Paint): Record<string, unknown> {
  return {
    trigger: "axis",
    renderMode: "richText",
    confine: true,
    backgroundColor: paint.surface,
    borderColor: paint.line,
    borderWidth: 1,
    textStyle: { color: paint.text, fontSize: 12, fontFamily: paint.font },
    axisPointer: { type: "line", lineStyle: { color: paint.muted, type: "dotted" } },
  };
}

function timeAxes(paint: Paint, axes: Axes, series: readonly Series[]): EChartsCoreOption {
  const label = { color: paint.muted, fontSize: AXIS_LABEL };
  return {
    xAxis: {
      type: "time",
      axisLine: { lineStyle: { color: paint.line } },
      axisTick: { show: false },
      splitLine: { show: false },
      axisLabel: { ...label, hideOverlap: true, formatter: axes.time },
    },
    yAxis: {
      type: "value",
      min: 0,
      splitNumber: 4,
      ...steps(series.flatMap(({ points }) => points.map(([, value]) => value))),
      splitLine: { lineStyle: { color: paint.line } },
      axisLabel: { ...label, formatter: axes.value },
    },
  };
}

interface Hovered {
  readonly seriesName: string;
  readonly value: readonly [number, number | null];
}

function spoken(axes: Axes) {
  return (hovered: readonly Hovered[]) => {
    const first = hovered[0];
    if (first === undefined) return "";
    const lines = hovered
      .filter(({ value }) => value[1] !== null && value[1] !== 0)
      .map(({ seriesName, value }) => `${plain(seriesName).slice(0, 48)}   ${axes.value(value[1] ?? 0)}`);
    return [axes.moment(first.value[0]), ...lines].join("\n");
  };
}

const BRUSH = { brushType: "lineX", xAxisIndex: 0, toolbox: [], throttleType: "debounce", throttleDelay: 0 };

/** Values that add up: bars stacked on each other. */
export function stacked(series: readonly Series[], paint: Paint, axes: Axes): EChartsCoreOption {
  return {
    ...frame(paint),
    ...timeAxes(paint, axes, series),
    brush: BRUSH,
    tooltip: { ...tooltip(paint), formatter: spoken(axes) },
    series: series.map(({ name, points, colour }) => ({
      name,
      type: "bar",
      stack: "all",
      barCategoryGap: "12%",
      large: points.length > 2000,
      data: points,
      itemStyle: { color: paint.series[colour % paint.series.length] },
    })),
  };
}

/** Values that do not: lines, with gaps where nothing is known. */
export function lines(series: readonly Series[], paint: Paint, axes: Axes): EChartsCoreOption {
  return {
    ...frame(paint),
    ...timeAxes(paint, axes, series),
    brush: BRUSH,
    tooltip: { ...tooltip(paint), formatter: spoken(axes) },
    series: series.map(({ name, points, colour }, index) => ({
      name,
      type: "line",
      itemStyle: { color: paint.series[colour % paint.series.length] },
      data: points,
      showSymbol: points.filter(([, value]) => value !== null).length < 3,
      symbolSize: 5,
      connectNulls: false,
      lineStyle: { width: 1.8, type: index < 4 ? "solid" : "dashed" },
      emphasis: { disabled: true },
    })),
  };
}

export interface Band {
  readonly name: string;
  readonly value: number | null;
}

/** Of what is counted there are no halves: an axis would say 0, 1, 1. */
function steps(values: readonly (number | null)[]): { minInterval?: number } {
  return values.every((value) => value === null || Number.isInteger(value)) ? { minInterval: 1 } : {};
}

/** The few largest of something. */
export function ranking(bands: readonly Band[], paint: Paint, value: (value: number) => string): EChartsCoreOption {
  const shown = bands.filter((band) => band.value !== null).toReversed();
  return {
    ...frame(paint),
    tooltip: { ...tooltip(paint), trigger: "item", formatter: ({ name, value: at }: { name: string; value: number }) => `${plain(name).slice(0, 80)}\n${value(at)}` },
    xAxis: { type: "value", splitNumber: 3, ...steps(shown.map(({ value: each }) => each)), splitLine: { lineStyle: { color: paint.line } }, axisLabel: { color: paint.muted, fontSize: AXIS_LABEL, formatter: value, hideOverlap: true } },
    yAxis: {
      type: "category",
      data: shown.map(({ name }) => name),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { color: paint.text, fontSize: 12, width: 150, overflow: "truncate", formatter: (name: string) => plain(name).slice(0, 60) },
    },
    series: [{ type: "bar", barMaxWidth: 18, data: shown.map((band) => band.value), itemStyle: { color: paint.accent, borderRadius: [0, 3, 3, 0] } }],
  };
}

/** Hour of the day by weekday, or any two dimensions. */
export function heatmap(cells: readonly (readonly [number, number, number | null])[], across: readonly string[], down: readonly string[], paint: Paint, value: (value: number) => string): EChartsCoreOption {
  const most = Math.max(...cells.map(([, , each]) => each ?? 0)) || 1;
  const axis = { axisLine: { show: false }, axisTick: { show: false }, axisLabel: { color: paint.muted, fontSize: AXIS_LABEL } };
  return {
    ...frame(paint),
    tooltip: {
      ...tooltip(paint),
      trigger: "item",
      formatter: ({ value: at }: { value: readonly [number, number, number] }) => `${down[at[1]] ?? ""} ${across[at[0]] ?? ""}\n${value(at[2])}`,
    },
    xAxis: { type: "category", data: [...across], ...axis },
    yAxis: { type: "category", data: [...down], inverse: true, ...axis },
    grid: { left: 8, right: 12, top: 40, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    visualMap: {
      min: 0,
      max: most,
      orient: "horizontal",
      top: 0,
      right: 8,
      itemWidth: 10,
      itemHeight: 120,
      text: [value(most), value(0)],
      textStyle: { color: paint.muted, fontSize: AXIS_LABEL },
      inRange: { color: [paint.surface, paint.accent] },
    },
    series: [{ type: "heatmap", data: cells.filter(([, , each]) => each !== null), itemStyle: { borderColor: paint.surface, borderWidth: 1 } }],
  };
}

/** How many records lie from one edge to the next. */
export function histogram(bins: readonly { from: number; n: number }[], paint: Paint, edge: (value: number) => string, many: (n: number) => string): EChartsCoreOption {
  const label = { color: paint.muted, fontSize: AXIS_LABEL };
  return {
    ...frame(paint),
    tooltip: { ...tooltip(paint), trigger: "item", formatter: ({ name, value }: { name: string; value: number }) => `≥ ${name}\n${many(value)}` },
    xAxis: { type: "category", data: bins.map(({ from }) => edge(from)), axisTick: { show: false }, axisLine: { lineStyle: { color: paint.line } }, axisLabel: { ...label, hideOverlap: true, alignMaxLabel: "right" } },
    yAxis: { type: "value", splitNumber: 4, minInterval: 1, splitLine: { lineStyle: { color: paint.line } }, axisLabel: { ...label, formatter: many } },
    series: [{ type: "bar", barCategoryGap: "6%", data: bins.map(({ n }) => n), itemStyle: { color: paint.accent } }],
  };
}
