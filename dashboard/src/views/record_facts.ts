/** What a person wants to know of one record, in their words: which columns, in which groups, with which units. Pure. */
import type { Key } from "../i18n/words";

export type Value = string | number | boolean | null | Readonly<Record<string, string>>;
export type RecordRow = Readonly<Record<string, Value>>;

export interface Fact {
  readonly column: string;
  readonly label: Key;
  /** As the API names units; none: a name or a word. */
  readonly unit?: string;
  /** A link to all records that share it. */
  readonly filter?: true;
}

export const FACTS: readonly { readonly title: Key; readonly facts: readonly Fact[] }[] = [
  {
    title: "request.ended",
    facts: [
      { column: "outcome", label: "table.outcome" },
      { column: "status_code", label: "table.status" },
      { column: "error_type", label: "errors.type", filter: true },
      { column: "error_message", label: "table.message" },
      { column: "retry_after_ms", label: "request.retryAfter", unit: "ms" },
      { column: "finish_reason", label: "request.finish" },
    ],
  },
  {
    title: "request.what",
    facts: [
      { column: "model", label: "table.model", filter: true },
      { column: "response_model", label: "request.responseModel" },
      { column: "backend_name", label: "table.backend", filter: true },
      { column: "endpoint", label: "table.endpoint", filter: true },
      { column: "message_count", label: "request.messages", unit: "count" },
      { column: "attempts", label: "request.attempts", unit: "count" },
    ],
  },
  {
    title: "request.usage",
    facts: [
      { column: "prompt_tokens", label: "metric.prompt_tokens", unit: "count" },
      { column: "cached_tokens", label: "request.cached", unit: "count" },
      { column: "cache_write_tokens", label: "request.cacheWrite", unit: "count" },
      { column: "completion_tokens", label: "metric.completion_tokens", unit: "count" },
      { column: "reasoning_tokens", label: "request.reasoning", unit: "count" },
      { column: "cost_usd", label: "metric.cost", unit: "USD" },
      { column: "cost_source", label: "request.costSource" },
    ],
  },
  {
    title: "request.speed",
    facts: [
      { column: "response_time_ms", label: "metric.response_time", unit: "ms" },
      { column: "time_to_first_token_ms", label: "metric.ttft", unit: "ms" },
      { column: "output_tokens_per_second", label: "metric.output_speed", unit: "tokens/s" },
      { column: "time_per_output_token_ms", label: "metric.tpot", unit: "ms" },
      { column: "inter_chunk_max_ms", label: "metric.longest_gap", unit: "ms" },
      { column: "proxy_overhead_ms", label: "request.overhead", unit: "ms" },
    ],
  },
  {
    title: "request.who",
    facts: [
      { column: "user", label: "table.user", filter: true },
      { column: "app", label: "table.app", filter: true },
      { column: "origin", label: "table.origin", filter: true },
      { column: "api_key_id", label: "table.key", filter: true },
      { column: "session_id", label: "table.session", filter: true },
      { column: "agent_id", label: "table.agent", filter: true },
      { column: "tags", label: "table.tag" },
      { column: "trace_id", label: "request.trace", filter: true },
      { column: "host", label: "table.host", filter: true },
    ],
  },
  {
    title: "request.id",
    facts: [
      { column: "request_id", label: "request.id" },
      { column: "request_bytes", label: "request.size", unit: "bytes" },
      { column: "response_bytes", label: "metric.response_bytes", unit: "bytes" },
    ],
  },
];

/** The groups with the facts that the record has; what another one says already is left out. */
export function factsOf(record: RecordRow): typeof FACTS {
  const known = ({ column }: Fact) => {
    const value = record[column];
    if (value === null || value === undefined || value === "") return false;
    if (column === "response_model") return value !== record["model"];
    if (column === "attempts") return value !== 1;
    return true;
  };
  return FACTS.map((group) => ({ ...group, facts: group.facts.filter(known) })).filter(({ facts }) => facts.length > 0);
}

export type Ending = "answered" | "failed" | "left";

export function endingOf(record: RecordRow): Ending {
  if (record["success"] === true) return "answered";
  return record["outcome"] === "client_disconnected" ? "left" : "failed";
}

/** Whom it was for: the most personal name that is known. */
export function askerOf(record: RecordRow): string | null {
  const found = ["user", "app", "origin"].map((column) => record[column]).find((value) => typeof value === "string" && value !== "");
  return found === undefined ? null : String(found);
}
