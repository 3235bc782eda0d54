/** What the table of requests is sorted by: a column, with `-` in front descending. Pure. */

export const NEWEST = "-timestamp";
/** Orders that people ask for by name, the usual one first. */
export const ORDERS = [
  { order: NEWEST, label: "order.newest" },
  { order: "-response_time_ms", label: "order.slowest" },
  { order: "-cost_usd", label: "order.dearest" },
  { order: "-completion_tokens", label: "order.longest" },
] as const;

export const columnOf = (order: string): string => order.replace(/^-/, "");
export const isDescending = (order: string): boolean => order.startsWith("-");

/** After a click on a heading: numbers and times begin with the greatest, words with the first; a second click turns them around. */
export function clicked(order: string, column: string, isNumber: boolean): string {
  if (columnOf(order) === column) return isDescending(order) ? column : `-${column}`;
  return isNumber || column === columnOf(NEWEST) ? `-${column}` : column;
}
