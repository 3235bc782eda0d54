/** Columns of the table of requests: which there are, what they are called, how wide they are, how they are shown. */
import { bytes, count, duration, speed, usd } from "../format/numbers";
import type { Key } from "../i18n/en";

type Show = (value: number | null, locale: string) => string;

export interface RequestColumn {
  readonly name: string;
  /** Without one, the API's own name: people who look for it know that. */
  readonly label?: Key;
  readonly widthPx: number;
  readonly show?: Show;
}

export const REQUEST_COLUMNS: readonly RequestColumn[] = [
  { name: "timestamp", label: "table.time", widthPx: 148 },
  { name: "model", label: "table.model", widthPx: 150 },
  { name: "outcome", label: "table.outcome", widthPx: 132 },
  { name: "status_code", label: "table.status", widthPx: 66 },
  { name: "response_time_ms", label: "metric.response_time", widthPx: 118, show: duration },
  { name: "time_to_first_token_ms", label: "metric.ttft", widthPx: 136, show: duration },
  { name: "output_tokens_per_second", label: "metric.output_speed", widthPx: 108, show: speed },
  { name: "prompt_tokens", label: "metric.prompt_tokens", widthPx: 82, show: count },
  { name: "completion_tokens", label: "metric.completion_tokens", widthPx: 92, show: count },
  { name: "origin", label: "table.origin", widthPx: 128 },
  { name: "error_type", label: "errors.type", widthPx: 130 },
  { name: "backend_name", label: "table.backend", widthPx: 110 },
  { name: "endpoint", label: "table.endpoint", widthPx: 190 },
  { name: "user", label: "table.user", widthPx: 120 },
  { name: "api_key_id", label: "table.key", widthPx: 130 },
  { name: "tags", label: "table.tag", widthPx: 150 },
  { name: "is_streaming", label: "nav.streaming", widthPx: 100 },
  { name: "finish_reason", widthPx: 110 },
  { name: "total_tokens", label: "metric.tokens", widthPx: 88, show: count },
  { name: "tokens_per_second", label: "metric.tokens_per_second", widthPx: 130, show: speed },
  { name: "cost_usd", label: "metric.cost", widthPx: 90, show: usd },
  { name: "request_bytes", widthPx: 120, show: bytes },
  { name: "response_bytes", label: "metric.response_bytes", widthPx: 130, show: bytes },
  { name: "proxy_overhead_ms", widthPx: 140, show: duration },
  { name: "trace_id", widthPx: 270 },
  { name: "request_id", widthPx: 270 },
  { name: "app_version", widthPx: 100 },
  { name: "error_message", label: "table.message", widthPx: 320 },
];
const FIRST = 10;

/** The columns that a link names, in the table's order; the usual ones where it names none. */
export function columnsOf(words: string | undefined): readonly RequestColumn[] {
  const asked = new Set(words?.split(","));
  const found = REQUEST_COLUMNS.filter(({ name }) => asked.has(name));
  return found.length === 0 ? REQUEST_COLUMNS.slice(0, FIRST) : found;
}

/** The same as words for a link, after one column was taken in or out. */
export function withColumn(shown: readonly RequestColumn[], name: string, on: boolean): string {
  const names = new Set(shown.map((column) => column.name));
  return REQUEST_COLUMNS.filter((column) => (column.name === name ? on : names.has(column.name)))
    .map((column) => column.name)
    .join(",");
}
