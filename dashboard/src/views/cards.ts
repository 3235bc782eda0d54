/** Every card that is one question, and every figure of the overview: a row each. A row's words are keys of `words.json`. */
import type { Key } from "../i18n/words";

interface Drawn {
  readonly title: Key;
  readonly className?: string;
}
export type CardRow =
  /** One column over time, or how its values are spread. */
  | (Drawn & { readonly kind: "percentiles" | "histogram"; readonly column: string })
  /** The largest values of a dimension. */
  | (Drawn & { readonly kind: "breakdown"; readonly dimension: string; readonly metric: string; readonly errorsOnly?: true })
  /** A dimension's values side by side. */
  | { readonly kind: "comparison"; readonly title: Key; readonly dimension: string; readonly metrics: readonly Measured[]; readonly limit?: number };

/** What the metrics that are shown are called. */
export const METRIC_WORDS = {
  requests: "metric.requests",
  success_rate: "metric.success_rate",
  "time_to_first_token_ms.p50": "metric.ttft_p50",
  "time_to_first_token_ms.p95": "metric.ttft_p95",
  "response_time_ms.p50": "metric.response_time_p50",
  "response_time_ms.p95": "metric.response_time_p95",
  "output_tokens_per_second.p50": "metric.output_speed",
  "tokens_per_second.p50": "metric.tokens_per_second",
  "time_per_output_token_ms.p50": "metric.tpot",
  "inter_chunk_max_ms.p95": "metric.longest_gap",
  prompt_tokens: "metric.prompt_tokens",
  completion_tokens: "metric.completion_tokens",
  total_tokens: "metric.tokens",
  cost_usd: "metric.cost",
} as const satisfies Record<string, Key>;
export type Measured = keyof typeof METRIC_WORDS;

/** Of the overview; `good`: which direction is good news. */
export const FIGURES: readonly { readonly metric: Measured; readonly good: "up" | "down" | "none" }[] = [
  { metric: "requests", good: "none" },
  { metric: "success_rate", good: "up" },
  { metric: "time_to_first_token_ms.p50", good: "down" },
  { metric: "response_time_ms.p95", good: "down" },
  { metric: "output_tokens_per_second.p50", good: "up" },
  { metric: "total_tokens", good: "none" },
  { metric: "cost_usd", good: "none" },
];

const SIDE_BY_SIDE: readonly Measured[] = [
  "requests", "success_rate", "time_to_first_token_ms.p50", "time_to_first_token_ms.p95", "response_time_ms.p50", "response_time_ms.p95",
  "output_tokens_per_second.p50", "prompt_tokens", "completion_tokens", "cost_usd",
];
const STREAMED: readonly Measured[] = [
  "requests", "time_to_first_token_ms.p50", "time_to_first_token_ms.p95", "time_per_output_token_ms.p50", "output_tokens_per_second.p50",
  "inter_chunk_max_ms.p95", "success_rate",
];
const NOT_STREAMED: readonly Measured[] = ["requests", "response_time_ms.p50", "response_time_ms.p95", "tokens_per_second.p50", "total_tokens", "success_rate"];

export const OVERVIEW: readonly CardRow[] = [
  { kind: "breakdown", title: "chart.errorsOverTime", dimension: "error_category", metric: "requests", className: "third", errorsOnly: true },
  { kind: "percentiles", title: "chart.latencyOverTime", column: "response_time_ms" },
  { kind: "percentiles", title: "chart.ttftOverTime", column: "time_to_first_token_ms" },
  { kind: "breakdown", title: "nav.models", dimension: "model", metric: "requests", className: "third" },
  { kind: "breakdown", title: "nav.clients", dimension: "origin", metric: "requests", className: "third" },
  { kind: "breakdown", title: "chart.costByModel", dimension: "model", metric: "cost_usd", className: "third" },
];
export const MODELS: readonly CardRow[] = [
  { kind: "comparison", title: "table.model", dimension: "model", metrics: SIDE_BY_SIDE },
  { kind: "breakdown", title: "metric.tokens", dimension: "model", metric: "total_tokens", className: "third" },
  { kind: "breakdown", title: "metric.output_speed", dimension: "model", metric: "output_tokens_per_second.p50", className: "third" },
  { kind: "breakdown", title: "chart.costByModel", dimension: "model", metric: "cost_usd", className: "third" },
  { kind: "percentiles", title: "chart.ttftOverTime", column: "time_to_first_token_ms" },
  { kind: "percentiles", title: "chart.latencyOverTime", column: "response_time_ms" },
  { kind: "comparison", title: "table.backend", dimension: "backend_name", metrics: SIDE_BY_SIDE },
];
/** Of the dimension that a reader chooses. */
export const clients = (dimension: string, title: Key): readonly CardRow[] => [
  { kind: "comparison", title, dimension, metrics: SIDE_BY_SIDE, limit: 200 },
  { kind: "breakdown", title: "metric.requests", dimension, metric: "requests", className: "third" },
  { kind: "breakdown", title: "metric.tokens", dimension, metric: "total_tokens", className: "third" },
  { kind: "breakdown", title: "metric.cost", dimension, metric: "cost_usd", className: "third" },
];
export const STREAMING: readonly CardRow[] = [
  { kind: "percentiles", title: "metric.ttft", column: "time_to_first_token_ms" },
  { kind: "histogram", title: "metric.ttft", column: "time_to_first_token_ms" },
  { kind: "percentiles", title: "metric.output_speed", column: "output_tokens_per_second" },
  { kind: "histogram", title: "metric.tpot", column: "time_per_output_token_ms" },
  { kind: "percentiles", title: "metric.longest_gap", column: "inter_chunk_max_ms" },
  { kind: "histogram", title: "metric.output_speed", column: "output_tokens_per_second" },
  { kind: "comparison", title: "table.model", dimension: "model", metrics: STREAMED },
];
export const IN_ONE_PIECE: readonly CardRow[] = [
  { kind: "percentiles", title: "metric.response_time", column: "response_time_ms" },
  { kind: "histogram", title: "metric.response_time", column: "response_time_ms" },
  { kind: "percentiles", title: "metric.tokens_per_second", column: "tokens_per_second" },
  { kind: "percentiles", title: "metric.response_bytes", column: "response_bytes" },
  { kind: "comparison", title: "table.endpoint", dimension: "endpoint", metrics: NOT_STREAMED },
];
export const ERRORS_BY_CATEGORY: readonly CardRow[] = [{ kind: "breakdown", title: "errors.category", dimension: "error_category", metric: "requests", className: "third", errorsOnly: true }];
export const ERRORS_BY_MODEL: readonly CardRow[] = [{ kind: "breakdown", title: "errors.rateByModel", dimension: "model", metric: "error_rate", className: "third" }];
