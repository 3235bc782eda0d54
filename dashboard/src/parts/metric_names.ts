/** What metrics and dimensions are called, in the reader's language. Pure. */
import type { Speech } from "../i18n";
import type { Key } from "../i18n/words";

/** Of metrics, and of columns that have statistics. */
export const METRIC_NAMES: Readonly<Record<string, Key>> = {
  requests: "metric.requests",
  success_rate: "metric.success_rate",
  error_rate: "explore.m.error_rate",
  requests_per_second: "explore.m.requests_per_second",
  concurrency_mean: "explore.m.concurrency_mean",
  concurrency_max: "explore.m.concurrency_max",
  cache_hit_ratio: "metric.cache_hit_ratio",
  cost_per_request_usd: "explore.m.cost_per_request_usd",
  cost_per_1000_requests_usd: "explore.m.cost_per_1000_requests_usd",
  cost_per_mtok_usd: "explore.m.cost_per_mtok_usd",
  cost_per_session_usd: "explore.m.cost_per_session_usd",
  prompt_tokens: "metric.prompt_tokens",
  completion_tokens: "metric.completion_tokens",
  cached_tokens: "request.cached",
  cache_write_tokens: "request.cacheWrite",
  reasoning_tokens: "request.reasoning",
  total_tokens: "metric.tokens",
  cost_usd: "metric.cost",
  cache_savings_usd: "metric.cache_savings",
  response_time_ms: "metric.response_time",
  time_to_first_token_ms: "metric.ttft",
  time_to_last_token_ms: "explore.m.time_to_last_token_ms",
  time_to_first_byte_ms: "explore.m.time_to_first_byte_ms",
  time_per_output_token_ms: "metric.tpot",
  output_tokens_per_second: "metric.output_speed",
  tokens_per_second: "metric.tokens_per_second",
  inter_chunk_max_ms: "metric.longest_gap",
  proxy_overhead_ms: "request.overhead",
  response_bytes: "metric.response_bytes",
};

export const DIMENSION_NAMES: Readonly<Record<string, Key>> = {
  time: "table.time",
  model: "table.model",
  response_model: "request.responseModel",
  backend_name: "table.backend",
  endpoint: "table.endpoint",
  origin: "table.origin",
  api_key_id: "table.key",
  user: "table.user",
  user_agent: "explore.d.user_agent",
  streaming: "nav.streaming",
  outcome: "table.outcome",
  error_category: "errors.category",
  error_type: "errors.type",
  error_phase: "errors.phase",
  finish_reason: "request.finish",
  status_code: "table.status",
  app_version: "explore.d.app_version",
  app: "table.app",
  session_id: "table.session",
  agent_id: "table.agent",
  cache_miss_reason: "explore.d.cache_miss_reason",
  host: "table.host",
  prompt_length: "explore.d.prompt_length",
  completion_length: "explore.d.completion_length",
  hour_of_day: "explore.d.hour_of_day",
  weekday: "explore.d.weekday",
};

const STATISTICS: Readonly<Record<string, Key>> = { mean: "explore.mean", p50: "explore.median", min: "explore.min", max: "explore.max" };
const [TAG, BIN] = ["tag:", "bin:"];

/** What is not in the table, such as a column that a newer server has, at least reads as words. */
const asWords = (name: string): string => name.replaceAll("_", " ");

export function statisticName(statistic: string, t: Speech["t"]): string {
  const key = STATISTICS[statistic];
  return key === undefined ? statistic : t(key);
}

/** `response_time_ms.p95`: "Response time, p95". */
export function metricName(metric: string, t: Speech["t"]): string {
  const [column = "", statistic] = metric.split(/\.(.*)/s);
  const key = METRIC_NAMES[column];
  const name = key === undefined ? asWords(column) : t(key);
  return statistic === undefined ? name : t("explore.of", { metric: name, statistic: statisticName(statistic, t) });
}

/** `tag:team`: "Tag: team"; of bins, what the column is called. */
export function dimensionName(dimension: string, t: Speech["t"]): string {
  if (dimension.startsWith(TAG)) return t("explore.tagOf", { key: dimension.slice(TAG.length) });
  if (dimension.startsWith(BIN)) return metricName(dimension.slice(BIN.length), t);
  const key = DIMENSION_NAMES[dimension];
  return key === undefined ? asWords(dimension) : t(key);
}
