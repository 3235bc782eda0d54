/** A card with a chart of an answer: its legend, its table, and the states that it can be in. */
import type * as echarts from "echarts/core";
import type { EChartsCoreOption } from "echarts/core";
import { type ReactNode, useCallback, useRef } from "react";

import type { Asked } from "../api/query";
import { Chart, type Paint, pictureOf } from "../charts/chart";
import { without } from "../charts/options";
import { Card } from "./card";
import type { Table } from "./tables";
import { type LegendItem, useHidden } from "./legend";
import { Empty, Loaded } from "./states";

interface Props {
  readonly title: string;
  readonly className?: string;
  readonly answer: Asked;
  /** On a canvas; or else `children`, with the picture of them that is saved. */
  readonly option?: (paint: Paint) => EChartsCoreOption;
  readonly children?: ReactNode;
  readonly picture?: () => string;
  readonly legend?: readonly LegendItem[];
  /** A line under the title. */
  readonly hint?: string;
  /** For people who do not see the chart; else the title. */
  readonly label?: string;
  /** In the place of the chart where there is nothing to draw. */
  readonly nothing?: string | undefined;
  /** Beside the title. */
  readonly tools?: ReactNode;
  /** As the card's table; else the rows of the answer. */
  readonly table?: Table | undefined;
  readonly onZoom?: (startMs: number, endMs: number) => void;
}

export function ChartCard({ title, className = "", answer, option, children, picture, legend, hint, label, nothing, tools, table, onZoom }: Props) {
  const handle = useRef<echarts.ECharts | null>(null);
  const chosen = useHidden(legend);
  const { hidden } = chosen;
  const drawn = useCallback((paint: Paint) => (option === undefined ? {} : without(option(paint), hidden)), [option, hidden]);
  return (
    <Card title={title} className={className} answer={answer} picture={() => (children === undefined ? pictureOf(handle.current) : picture?.())} tools={tools} {...(table === undefined ? {} : { table })} {...(legend === undefined ? {} : { legend: chosen })}>
      {hint !== undefined && <p className="hint">{hint}</p>}
      <Loaded from={answer}>
        {(data) =>
          data.records === 0 ? (
            <Empty />
          ) : nothing !== undefined ? (
            <p className="centre">{nothing}</p>
          ) : children !== undefined ? (
            children
          ) : (
            <Chart option={drawn} label={label ?? title} handle={handle} {...(onZoom === undefined ? {} : { onZoom })} />
          )
        }
      </Loaded>
    </Card>
  );
}
