/** A card with a chart of an answer: its legend, its table, and the states that it can be in. */
import type * as echarts from "echarts/core";
import type { EChartsCoreOption } from "echarts/core";
import { useRef } from "react";

import type { Asked } from "../api/query";
import { Chart, type Paint } from "../charts/chart";
import { Card } from "./card";
import type { LegendItem } from "./legend";
import { Empty, Loaded } from "./states";

interface Props {
  readonly title: string;
  readonly className?: string;
  readonly answer: Asked;
  readonly option: (paint: Paint) => EChartsCoreOption;
  readonly legend?: readonly LegendItem[];
  /** For people who do not see the chart; else the title. */
  readonly label?: string;
  /** In the place of the chart where there is nothing to draw. */
  readonly nothing?: string | undefined;
  readonly onZoom?: (startMs: number, endMs: number) => void;
  readonly onPick?: (name: string) => void;
}

export function ChartCard({ title, className = "", answer, option, legend, label, nothing, onZoom, onPick }: Props) {
  const handle = useRef<echarts.ECharts | null>(null);
  return (
    <Card title={title} className={className} answer={answer} handle={handle} {...(legend === undefined ? {} : { legend })}>
      <Loaded from={answer}>
        {(data) =>
          data.records === 0 ? (
            <Empty />
          ) : nothing !== undefined ? (
            <p className="centre">{nothing}</p>
          ) : (
            <Chart option={option} label={label ?? title} handle={handle} {...(onZoom === undefined ? {} : { onZoom })} {...(onPick === undefined ? {} : { onPick })} />
          )
        }
      </Loaded>
    </Card>
  );
}
