/** What Explore offers of a metric in each shape, and why not where it does not. Pure. */
import { MEASURED_COLUMNS } from "../api/columns";
import type { Key } from "../i18n/words";

export const SHAPES = ["line", "bar", "ranking", "heatmap", "matrix", "year", "histogram"] as const;
export type Shape = (typeof SHAPES)[number];

export const isShape = (name: string | undefined): name is Shape => SHAPES.some((each) => each === name);

/** The column that a metric is a statistic of, if it is one of each request. */
export function measuredOf(metric: string): string | undefined {
  return MEASURED_COLUMNS.find(({ name }) => name === metric.split(".")[0])?.name;
}

interface Can {
  /** How many dimensions may divide it. */
  readonly dimensions: 0 | 2;
  readonly log: boolean;
}

const CAN: Readonly<Record<Shape, Can>> = {
  line: { dimensions: 2, log: true },
  bar: { dimensions: 2, log: false },
  ranking: { dimensions: 2, log: true },
  heatmap: { dimensions: 0, log: false },
  matrix: { dimensions: 2, log: false },
  year: { dimensions: 0, log: false },
  histogram: { dimensions: 2, log: true },
};

export interface Offer {
  readonly compare: boolean;
  readonly by: boolean;
  readonly log: boolean;
  /** Why something is not offered that people look for. */
  readonly reasons: readonly Key[];
}

/** `comparable`: there is a period before the range. */
export function offerOf(shape: Shape, comparable: boolean): Offer {
  const can = CAN[shape];
  const reasons: Key[] = [];
  if (shape === "year") reasons.push("explore.yearIsFixed");
  else {
    if (shape === "heatmap") reasons.push("explore.weekIsWhole");
    if (!comparable) reasons.push("explore.noPeriod");
  }
  if (!can.log) reasons.push("explore.noLog");
  return { compare: comparable && shape !== "year", by: can.dimensions > 0, log: can.log, reasons };
}

/** Dimensions that divide what is drawn: none twice, and of a ranking or a matrix as many as it needs. */
export function dimensionsOf(shape: Shape, by: string | undefined, and: string | undefined): readonly string[] {
  if (CAN[shape].dimensions === 0) return [];
  const asked = by === undefined ? [] : and === undefined || and === by ? [by] : [by, and];
  if (shape === "ranking" && asked.length === 0) return ["model"];
  if (shape !== "matrix" || asked.length === 2) return asked;
  const first = asked[0] ?? "model";
  return [first, first === "outcome" ? "model" : "outcome"];
}
