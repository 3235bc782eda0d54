/** Which models answer, how fast, how well, and at what cost. */
import { duration } from "../format/numbers";
import { BreakdownCard } from "../parts/breakdown";
import { Comparison, type ComparedMetric } from "../parts/comparison";
import { PercentilesOverTime } from "../parts/percentiles";

export const SIDE_BY_SIDE: readonly ComparedMetric[] = [
  { metric: "requests", label: "metric.requests" },
  { metric: "success_rate", label: "metric.success_rate" },
  { metric: "time_to_first_token_ms.p50", label: "metric.ttft_p50" },
  { metric: "time_to_first_token_ms.p95", label: "metric.ttft_p95" },
  { metric: "response_time_ms.p50", label: "metric.response_time_p50" },
  { metric: "response_time_ms.p95", label: "metric.response_time_p95" },
  { metric: "output_tokens_per_second.p50", label: "metric.output_speed" },
  { metric: "prompt_tokens", label: "metric.prompt_tokens" },
  { metric: "completion_tokens", label: "metric.completion_tokens" },
  { metric: "cost_usd", label: "metric.cost" },
];

export default function Models() {
  return (
    <div className="grid">
      <Comparison title="table.model" dimension="model" metrics={SIDE_BY_SIDE} />
      <BreakdownCard title="metric.tokens" dimension="model" metric="total_tokens" className="third" />
      <BreakdownCard title="metric.output_speed" dimension="model" metric="output_tokens_per_second.p50" className="third" />
      <BreakdownCard title="chart.costByModel" dimension="model" metric="cost_usd" className="third" />
      <PercentilesOverTime title="chart.ttftOverTime" column="time_to_first_token_ms" show={duration} />
      <PercentilesOverTime title="chart.latencyOverTime" column="response_time_ms" show={duration} />
      <Comparison title="table.backend" dimension="backend_name" metrics={SIDE_BY_SIDE} />
    </div>
  );
}
