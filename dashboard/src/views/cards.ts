/** Every card that is one question, and every figure of the overview: a row each. A row's words are keys of `i18n/words`. */
import type { Key } from "../i18n/words";

interface Drawn {
  readonly title: Key;
  readonly className?: string;
}
/** To another view, with other words of the link. */
export interface CardLink {
  readonly label: Key;
  readonly path: string;
  readonly search: Readonly<Record<string, string>>;
}
export type CardRow =
  /** One column over time, or how its values are spread. */
  | (Drawn & { readonly kind: "percentiles" | "histogram"; readonly column: string })
  /** The largest values of a dimension. */
  | (Drawn & { readonly kind: "breakdown"; readonly dimension: string; readonly metric: string; readonly errorsOnly?: true; readonly hint?: Key; readonly more?: CardLink })
  /** What adds up, bucket by bucket, by the largest values of a dimension. */
  | (Drawn & { readonly kind: "by_time"; readonly dimension: string; readonly metric: string })
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
  "output_tokens_per_second.p50": "metric.output_speed_p50",
  "tokens_per_second.p50": "metric.tokens_per_second_p50",
  "time_per_output_token_ms.p50": "metric.tpot_p50",
  "inter_chunk_max_ms.p95": "metric.longest_gap_p95",
  prompt_tokens: "metric.prompt_tokens",
  completion_tokens: "metric.completion_tokens",
  total_tokens: "metric.tokens",
  cost_usd: "metric.cost",
  cost_per_request_usd: "metric.cost_per_request",
  cost_per_1000_requests_usd: "metric.cost_per_1000",
  cost_per_mtok_usd: "metric.cost_per_mtok",
  cost_per_session_usd: "metric.cost_per_session",
  cache_hit_ratio: "metric.cache_hit_ratio",
  cache_savings_usd: "metric.cache_savings",
} as const satisfies Record<string, Key>;
export type Measured = keyof typeof METRIC_WORDS;

/** Which direction is good news, where either is. */
export const GOOD: Readonly<Partial<Record<Measured, "up" | "down">>> = {
  success_rate: "up",
  cache_hit_ratio: "up",
  "time_to_first_token_ms.p50": "down",
  "time_to_first_token_ms.p95": "down",
  "response_time_ms.p50": "down",
  "response_time_ms.p95": "down",
  "output_tokens_per_second.p50": "up",
  "tokens_per_second.p50": "up",
  "time_per_output_token_ms.p50": "down",
  "inter_chunk_max_ms.p95": "down",
};

/** Of the overview; `good`: which direction is good news. */
export const FIGURES: readonly { readonly metric: Measured; readonly good: "up" | "down" | "none" }[] = [
  { metric: "requests", good: "none" },
  { metric: "success_rate", good: "up" },
  { metric: "time_to_first_token_ms.p50", good: "down" },
  { metric: "response_time_ms.p95", good: "down" },
  { metric: "output_tokens_per_second.p50", good: "up" },
  { metric: "total_tokens", good: "none" },
  { metric: "cache_hit_ratio", good: "up" },
  { metric: "cost_usd", good: "none" },
];

/** Part of these may be an estimate, from what a machine of one's own costs. */
export const ESTIMATED = "estimated_cost_usd";
export const isCost = (metric: string): boolean => metric.startsWith("cost_");

/** What a table leaves out first where there is no room for all; those that ask for them get them. */
export const MINOR: ReadonlySet<Measured> = new Set(["time_to_first_token_ms.p95", "response_time_ms.p50", "prompt_tokens", "completion_tokens", "cost_per_1000_requests_usd"]);

/** In the order in which people look. */
const SIDE_BY_SIDE: readonly Measured[] = [
  "requests", "cost_usd", "success_rate", "time_to_first_token_ms.p50", "time_to_first_token_ms.p95", "response_time_ms.p50",
  "response_time_ms.p95", "output_tokens_per_second.p50", "cache_hit_ratio", "prompt_tokens", "completion_tokens",
];
/** What the same work costs, on whatever it is compared by. */
export const COSTS: readonly Measured[] = [
  "cost_usd", "requests", "cost_per_request_usd", "cost_per_1000_requests_usd", "cost_per_mtok_usd", "cost_per_session_usd", "cache_hit_ratio", "cache_savings_usd",
];
const STREAMED: readonly Measured[] = [
  "requests", "time_to_first_token_ms.p50", "time_to_first_token_ms.p95", "time_per_output_token_ms.p50", "output_tokens_per_second.p50",
  "inter_chunk_max_ms.p95", "success_rate",
];
const NOT_STREAMED: readonly Measured[] = ["requests", "response_time_ms.p50", "response_time_ms.p95", "tokens_per_second.p50", "total_tokens", "success_rate"];

const PER_DAY_BY_USER: CardLink = { label: "changes.perDayByUser", path: "/clients", search: { by: "user", range: "7d", bucket: "day" } };
export const BESIDE_REQUESTS: readonly CardRow[] = [
  { kind: "breakdown", title: "chart.errorsOverTime", dimension: "error_category", metric: "requests", className: "third", errorsOnly: true },
];
export const OVERVIEW: readonly CardRow[] = [
  { kind: "breakdown", title: "nav.models", dimension: "model", metric: "requests", className: "third" },
  { kind: "percentiles", title: "metric.response_time", column: "response_time_ms" },
  { kind: "percentiles", title: "metric.ttft", column: "time_to_first_token_ms" },
  { kind: "breakdown", title: "nav.clients", dimension: "origin", metric: "requests", className: "third" },
  { kind: "breakdown", title: "changes.tokensByUser", dimension: "user", metric: "total_tokens", className: "third", more: PER_DAY_BY_USER },
  { kind: "breakdown", title: "chart.costByModel", dimension: "model", metric: "cost_usd", className: "third" },
];
export const MODELS: readonly CardRow[] = [
  { kind: "comparison", title: "table.model", dimension: "model", metrics: SIDE_BY_SIDE },
  { kind: "breakdown", title: "metric.tokens", dimension: "model", metric: "total_tokens", className: "third" },
  { kind: "breakdown", title: "metric.output_speed_p50", dimension: "model", metric: "output_tokens_per_second.p50", className: "third" },
  { kind: "breakdown", title: "chart.costByModel", dimension: "model", metric: "cost_usd", className: "third" },
  { kind: "percentiles", title: "metric.ttft", column: "time_to_first_token_ms" },
  { kind: "percentiles", title: "metric.response_time", column: "response_time_ms" },
  { kind: "comparison", title: "table.backend", dimension: "backend_name", metrics: SIDE_BY_SIDE },
];
/** Of the dimension that a reader chooses. */
export const clients = (dimension: string, title: Key): readonly CardRow[] => [
  { kind: "comparison", title, dimension, metrics: SIDE_BY_SIDE, limit: 200 },
  { kind: "by_time", title: "changes.tokensOverTime", dimension, metric: "total_tokens" },
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
/** Whatever error is selected: the share of all of a model's or client's requests. */
export const ERROR_RATES: readonly CardRow[] = [
  { kind: "breakdown", title: "errors.rateByModel", dimension: "model", metric: "error_rate", hint: "errors.rateHint" },
  { kind: "breakdown", title: "errors.rateByClient", dimension: "origin", metric: "error_rate", hint: "errors.rateHint" },
];
