/** One ECharts canvas that follows its box, the theme and its option. Only what is drawn somewhere is imported. */
import { BarChart, HeatmapChart, LineChart } from "echarts/charts";
import { BrushComponent, DatasetComponent, GridComponent, TooltipComponent, VisualMapContinuousComponent } from "echarts/components";
import * as echarts from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import type { EChartsCoreOption } from "echarts/core";
import { type RefObject, useEffect, useRef } from "react";

import { useTheme } from "../app/theme";
import { useSpeech } from "../i18n";

echarts.use([
  BarChart,
  BrushComponent,
  CanvasRenderer,
  DatasetComponent,
  GridComponent,
  HeatmapChart,
  LineChart,
  TooltipComponent,
  VisualMapContinuousComponent,
]);

export interface Paint {
  readonly text: string;
  readonly muted: string;
  readonly line: string;
  readonly surface: string;
  readonly bad: string;
  readonly accent: string;
  readonly font: string;
  readonly series: readonly string[];
}

/** The page's tokens as a canvas needs them. */
export function paint(): Paint {
  const style = getComputedStyle(document.documentElement);
  const token = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    text: token("text"),
    muted: token("muted"),
    line: token("line"),
    surface: token("raised"),
    bad: token("bad"),
    accent: token("accent"),
    font: token("font"),
    series: Array.from({ length: 8 }, (_, index) => token(`series-${index + 1}`)),
  };
}

/** As the address of a PNG, on the ground that cards have. */
export function pictureOf(chart: echarts.ECharts | null): string | undefined {
  return chart?.getDataURL({ type: "png", pixelRatio: 2, backgroundColor: getComputedStyle(document.documentElement).getPropertyValue("--surface") });
}

/** Of what is not drawn on the page, in CSS pixels. */
export function drawnPicture(option: (paint: Paint) => EChartsCoreOption, width: number, height: number): string {
  const chart = echarts.init(document.createElement("div"), null, { renderer: "canvas", width, height });
  chart.setOption({ animation: false, ...option(paint()) });
  const url = pictureOf(chart) ?? "";
  chart.dispose();
  return url;
}

export interface ChartProps {
  readonly option: (paint: Paint) => EChartsCoreOption;
  /** For people who do not see it; the table beside it has the numbers. */
  readonly label: string;
  /** A range was dragged over the horizontal axis, in Unix milliseconds. */
  readonly onZoom?: (startMs: number, endMs: number) => void;
  readonly handle?: RefObject<echarts.ECharts | null>;
}

export function Chart({ option, label, onZoom, handle }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<echarts.ECharts | null>(null);
  const { drawn } = useTheme();
  const { t } = useSpeech();

  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const made = echarts.init(element, null, { renderer: "canvas" });
    chart.current = made;
    if (handle !== undefined) handle.current = made;
    const watcher = new ResizeObserver(() => made.resize());
    watcher.observe(element);
    return () => {
      watcher.disconnect();
      made.dispose();
      chart.current = null;
      if (handle !== undefined) handle.current = null;
    };
  }, [handle]);

  useEffect(() => {
    chart.current?.setOption({ animation: false, ...option(paint()) }, { notMerge: true });
    if (onZoom !== undefined) chart.current?.dispatchAction({ type: "takeGlobalCursor", key: "brush", brushOption: { brushType: "lineX", brushMode: "single" } });
  }, [option, drawn, onZoom]);

  useEffect(() => {
    const made = chart.current;
    if (made === null) return undefined;
    const zoomed = (event: unknown) => {
      const area = (event as { areas?: { coordRange?: [number, number] }[] }).areas?.[0]?.coordRange;
      if (area === undefined || onZoom === undefined) return;
      made.dispatchAction({ type: "brush", areas: [] });
      if (area[1] - area[0] >= 1000) onZoom(area[0], area[1]);
    };
    made.on("brushEnd", zoomed);
    return () => {
      made.off("brushEnd", zoomed);
    };
  }, [onZoom]);

  return <div className="chart" ref={box} role="img" aria-label={label} title={onZoom === undefined ? undefined : t("chart.zoomHint")} />;
}
