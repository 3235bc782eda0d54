/** Answers that were streamed: when the first token came, and how fast the others followed. */
import { duration, speed } from "../format/numbers";
import { Comparison } from "../parts/comparison";
import { HistogramCard } from "../parts/histogram";
import { PercentilesOverTime } from "../parts/percentiles";
import { Selected } from "../app/selected";

export default function Streaming() {
  return (
    <Selected filters={{ streaming: "true" }}>
      <div className="grid">
        <PercentilesOverTime title="metric.ttft" column="time_to_first_token_ms" show={duration} />
        <HistogramCard title="metric.ttft" column="time_to_first_token_ms" />
        <PercentilesOverTime title="metric.output_speed" column="output_tokens_per_second" show={speed} />
        <HistogramCard title="metric.tpot" column="time_per_output_token_ms" />
        <PercentilesOverTime title="metric.longest_gap" column="inter_chunk_max_ms" show={duration} />
        <HistogramCard title="metric.output_speed" column="output_tokens_per_second" />
        <Comparison
          title="table.model"
          dimension="model"
          metrics={[
            { metric: "requests", label: "metric.requests" },
            { metric: "time_to_first_token_ms.p50", label: "metric.ttft_p50" },
            { metric: "time_to_first_token_ms.p95", label: "metric.ttft_p95" },
            { metric: "time_per_output_token_ms.p50", label: "metric.tpot" },
            { metric: "output_tokens_per_second.p50", label: "metric.output_speed" },
            { metric: "inter_chunk_max_ms.p95", label: "metric.longest_gap" },
            { metric: "success_rate", label: "metric.success_rate" },
          ]}
        />
      </div>
    </Selected>
  );
}
