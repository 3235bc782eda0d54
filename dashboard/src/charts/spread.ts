/** How values are spread, as ECharts draws it: maps of heat, and histograms. Pure. */
import type { EChartsCoreOption } from "echarts/core";

import type { Paint } from "./chart";
import { AXIS_LABEL, frame, plain, tooltip } from "./options";

/** Hour of the day by weekday, or any two dimensions. `highest`: what the darkest colour means, of maps side by side. */
export function heatmap(cells: readonly (readonly [number, number, number | null])[], across: readonly string[], down: readonly string[], paint: Paint, value: (value: number) => string, highest?: number): EChartsCoreOption {
  const most = highest ?? (Math.max(0, ...cells.map(([, , each]) => each ?? 0)) || 1);
  const axis = { axisLine: { show: false }, axisTick: { show: false }, axisLabel: { color: paint.muted, fontSize: AXIS_LABEL } };
  const cut = { width: 96, overflow: "truncate", formatter: (name: string) => plain(name).slice(0, 60) };
  return {
    ...frame(paint),
    tooltip: {
      ...tooltip(paint),
      trigger: "item",
      formatter: ({ value: at }: { value: readonly [number, number, number] }) => `${plain(down[at[1]] ?? "").slice(0, 60)} · ${plain(across[at[0]] ?? "").slice(0, 60)}\n${value(at[2])}`,
    },
    xAxis: { type: "category", data: [...across], ...axis, axisLabel: { ...axis.axisLabel, ...cut, hideOverlap: true } },
    yAxis: { type: "category", data: [...down], inverse: true, ...axis, axisLabel: { ...axis.axisLabel, ...cut, interval: 0, width: 120 } },
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

/** Records of one group from one edge to the next; all groups have the same edges. */
export interface Spread {
  readonly name: string;
  readonly colour: number;
  readonly counts: readonly number[];
  readonly dashed?: boolean;
  readonly hidesWith?: readonly string[];
}

export interface Words {
  readonly edge: (value: number) => string;
  readonly many: (n: number) => string;
  /** From an edge to the next. */
  readonly between: (from: string, to: string) => string;
  /** What lies below the axis, and beside it. */
  readonly across: string;
  readonly up: string;
}

const NAME_GAP = 26;

/** One group as bars; several, or one beside the period before, as outlines over each other. `edges`: where bins begin. */
export function histogram(edges: readonly number[], spreads: readonly Spread[], paint: Paint, words: Words, log = false): EChartsCoreOption {
  const label = { color: paint.muted, fontSize: AXIS_LABEL };
  const named = { nameLocation: "middle", nameTextStyle: { color: paint.muted, fontSize: AXIS_LABEL } };
  const isOne = spreads.length === 1;
  const shown = edges.map(words.edge);
  const range = (index: number) => (index + 1 < shown.length ? words.between(shown[index] ?? "", shown[index + 1] ?? "") : `≥ ${shown[index] ?? ""}`);
  const spoken = (hovered: readonly { seriesName: string; dataIndex: number; value: number | null }[]) => {
    const first = hovered[0];
    if (first === undefined) return "";
    const lines = hovered.filter(({ value }) => value !== null && value !== 0).map(({ seriesName, value }) => (isOne ? words.many(value ?? 0) : `${plain(seriesName).slice(0, 48)}   ${words.many(value ?? 0)}`));
    return [range(first.dataIndex), ...lines].join("\n");
  };
  return {
    ...frame(paint),
    grid: { left: 26, right: 12, top: 12, bottom: NAME_GAP, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    tooltip: { ...tooltip(paint), formatter: spoken },
    xAxis: { type: "category", data: shown, name: words.across, ...named, nameGap: NAME_GAP, axisTick: { show: false }, axisLine: { lineStyle: { color: paint.line } }, axisLabel: { ...label, hideOverlap: true, alignMaxLabel: "right" } },
    yAxis: { ...(log ? { type: "log" } : { type: "value", splitNumber: 4, minInterval: 1 }), name: words.up, ...named, nameGap: 34, splitLine: { lineStyle: { color: paint.line } }, axisLabel: { ...label, formatter: words.many } },
    series: spreads.map(({ name, colour, counts, dashed = false, hidesWith = [name] }) => {
      const data = counts.map((n) => (log && n === 0 ? null : n));
      const ink = paint.series[colour % paint.series.length];
      if (isOne) return { name, hidesWith, type: "bar", barCategoryGap: "6%", data, itemStyle: { color: paint.accent } };
      return {
        name,
        hidesWith,
        type: "line",
        step: "middle",
        showSymbol: false,
        data,
        itemStyle: { color: ink },
        lineStyle: dashed ? { width: 1.2, type: [2, 3], color: ink } : { width: 1.8, color: ink },
        areaStyle: { color: ink, opacity: dashed ? 0 : 0.08 },
        emphasis: { disabled: true },
      };
    }),
  };
}

export interface Band {
  readonly name: string;
  readonly value: number | null;
}

/** The few largest of something, the largest first, as the picture of it that is saved: `text` stands at each bar. */
export function ranking(bands: readonly Band[], paint: Paint, text: (value: number) => string, log = false): EChartsCoreOption {
  const shown = bands.filter(({ value }) => value !== null && (!log || value > 0)).toReversed();
  return {
    ...frame(paint),
    grid: { left: 12, right: 110, top: 12, bottom: 12, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    xAxis: { type: log ? "log" : "value", show: false },
    yAxis: { type: "category", data: shown.map(({ name }) => name), axisLine: { show: false }, axisTick: { show: false }, axisLabel: { interval: 0, color: paint.text, fontSize: 12, width: 300, overflow: "truncate", formatter: plain } },
    series: [{ type: "bar", barMaxWidth: 18, data: shown.map(({ value }) => value), itemStyle: { color: paint.accent }, label: { show: true, position: "right", color: paint.text, formatter: ({ value }: { value: number }) => text(value) } }],
  };
}
