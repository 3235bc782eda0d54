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
  /** When buckets begin that are not whole, in Unix milliseconds. */
  readonly partial?: ReadonlySet<number>;
  /** Of the period before: drawn with a broken line, or faint. */
  readonly dashed?: boolean;
  /** Entries of the legend that hide it; else its name. */
  readonly hidesWith?: readonly string[];
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
  const partial = partialOf(answer);
  return [...found].map(([key, points], colour) => ({ name: key, points, colour, partial }));
}

/** Buckets of which a part lies outside the range, or has not come yet: they are drawn as what they are. */
export function partialOf(answer: Answer): ReadonlySet<number> {
  return new Set(answer.rows.flatMap((row) => (row.partial === true ? [Date.parse(String(row.key["time"]))] : [])));
}

export interface Axes {
  readonly value: (value: number) => string;
  readonly time: (ms: number) => string;
  readonly moment: (ms: number) => string;
  /** What is said of a bucket that is not whole. */
  readonly partial: string;
}

export const AXIS_LABEL = 11;

export function frame(paint: Paint): EChartsCoreOption {
  return {
    textStyle: { fontFamily: paint.font, color: paint.muted },
    color: [...paint.series],
    grid: { left: 8, right: 12, top: 12, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
  };
}

export function tooltip(paint: Paint): Record<string, unknown> {
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

/** A log scale has no zero: what is not above it is left out. */
const above = (points: Series["points"]): Series["points"] => points.map(([at, value]) => [at, value !== null && value > 0 ? value : null] as const);

function timeAxes(paint: Paint, axes: Axes, series: readonly Series[], log = false): EChartsCoreOption {
  const label = { color: paint.muted, fontSize: AXIS_LABEL };
  const values = series.flatMap(({ points }) => points.flatMap(([, value]) => (value === null ? [] : [value])));
  return {
    xAxis: {
      type: "time",
      axisLine: { lineStyle: { color: paint.line } },
      axisTick: { show: false },
      splitLine: { show: false },
      axisLabel: { ...label, hideOverlap: true, formatter: axes.time },
    },
    yAxis: {
      ...(log ? { type: "log" } : { type: "value", min: Math.min(0, ...values), splitNumber: 4, ...steps(values) }),
      splitLine: { lineStyle: { color: paint.line } },
      axisLabel: { ...label, formatter: axes.value },
    },
  };
}

interface Hovered {
  readonly seriesName: string;
  readonly value: readonly [number, number | null];
}

const FAINT = 0.4; // a bar of a part of a bucket is no fall
const RING = 6;
const BEFORE = 0.4; // as bars of the period before; a line of it is broken, and thinner

function spoken(axes: Axes, partial: ReadonlySet<number> | undefined) {
  return (hovered: readonly Hovered[]) => {
    const first = hovered[0];
    if (first === undefined) return "";
    const lines = hovered
      .filter(({ value }) => value[1] !== null && value[1] !== 0)
      .map(({ seriesName, value }) => `${plain(seriesName).slice(0, 48)}   ${axes.value(value[1] ?? 0)}`);
    const at = axes.moment(first.value[0]);
    return [partial?.has(first.value[0]) === true ? `${at} (${axes.partial})` : at, ...lines].join("\n");
  };
}

const BRUSH = { brushType: "lineX", xAxisIndex: 0, toolbox: [], throttleType: "debounce", throttleDelay: 0 };

/** Bars: of values that add up, on each other; else beside each other. */
export function stacked(series: readonly Series[], paint: Paint, axes: Axes, adds = true): EChartsCoreOption {
  return {
    ...frame(paint),
    ...timeAxes(paint, axes, series),
    brush: BRUSH,
    tooltip: { ...tooltip(paint), formatter: spoken(axes, series[0]?.partial) },
    series: series.map(({ name, points, colour, partial, dashed = false, hidesWith = [name] }) => ({
      name,
      hidesWith,
      type: "bar",
      ...(adds ? { stack: dashed ? "before" : "all" } : {}),
      barCategoryGap: "12%",
      large: points.length > 2000,
      data: points.map((point) => (partial?.has(point[0]) === true ? { value: point, itemStyle: { opacity: FAINT } } : point)),
      itemStyle: { color: paint.series[colour % paint.series.length], opacity: dashed ? BEFORE : 1 },
    })),
  };
}

/** Lines show no points, unless they have hardly any; a bucket that is not whole is an open ring. */
function dots(points: Series["points"], partial: ReadonlySet<number> | undefined): Record<string, unknown> {
  const few = points.filter(([, value]) => value !== null).length < 3;
  const rings = points.some(([at]) => partial?.has(at));
  if (!rings) return { showSymbol: few, symbolSize: 5 };
  return {
    showSymbol: true,
    showAllSymbol: true,
    symbol: ([at]: readonly [number, number | null]) => (partial?.has(at) === true ? "emptyCircle" : few ? "circle" : "none"),
    symbolSize: RING,
  };
}

/** Values that do not: lines, with gaps where nothing is known. */
export function lines(series: readonly Series[], paint: Paint, axes: Axes, log = false): EChartsCoreOption {
  return {
    ...frame(paint),
    ...timeAxes(paint, axes, series, log),
    brush: BRUSH,
    tooltip: { ...tooltip(paint), formatter: spoken(axes, series[0]?.partial) },
    series: series.map(({ name, points, colour, partial, dashed = false, hidesWith = [name] }, index) => ({
      name,
      hidesWith,
      type: "line",
      itemStyle: { color: paint.series[colour % paint.series.length] },
      data: log ? above(points) : points,
      ...dots(points, partial),
      connectNulls: false,
      lineStyle: dashed ? { width: 1.2, type: [2, 3], opacity: 0.85 } : { width: 1.8, type: index < 4 ? "solid" : "dashed" },
      emphasis: { disabled: true },
    })),
  };
}

/** Of what is counted there are no halves: an axis would say 0, 1, 1. */
export function steps(values: readonly (number | null)[]): { minInterval?: number } {
  return values.every((value) => value === null || Number.isInteger(value)) ? { minInterval: 1 } : {};
}

/** The same without the series that a reader hid in the legend. */
export function without(option: EChartsCoreOption, hidden: ReadonlySet<string>): EChartsCoreOption {
  const series = option["series"];
  if (hidden.size === 0 || !Array.isArray(series)) return option;
  const isSeen = ({ hidesWith }: { hidesWith?: readonly string[] }) => hidesWith?.some((name) => hidden.has(name)) !== true;
  return { ...option, series: (series as { hidesWith?: readonly string[] }[]).filter(isSeen) };
}
