/** Answers that came in one piece: no first token to wait for, the whole response time counts. */
import { Selected } from "../app/selected";
import { bytes, duration, speed } from "../format/numbers";
import { Comparison } from "../parts/comparison";
import { HistogramCard } from "../parts/histogram";
import { PercentilesOverTime } from "../parts/percentiles";

export default function NotStreamed() {
  return (
    <Selected filters={{ streaming: "false" }}>
      <div className="grid">
        <PercentilesOverTime title="metric.response_time" column="response_time_ms" show={duration} />
        <HistogramCard title="metric.response_time" column="response_time_ms" />
        <PercentilesOverTime title="metric.tokens_per_second" column="tokens_per_second" show={speed} />
        <PercentilesOverTime title="metric.response_bytes" column="response_bytes" show={bytes} />
        <Comparison
          title="table.endpoint"
          dimension="endpoint"
          metrics={[
            { metric: "requests", label: "metric.requests" },
            { metric: "response_time_ms.p50", label: "metric.response_time_p50" },
            { metric: "response_time_ms.p95", label: "metric.response_time_p95" },
            { metric: "tokens_per_second.p50", label: "metric.tokens_per_second" },
            { metric: "total_tokens", label: "metric.tokens" },
            { metric: "success_rate", label: "metric.success_rate" },
          ]}
        />
      </div>
    </Selected>
  );
}
