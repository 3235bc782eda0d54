/** Any metric by any dimension, as lines, bars, a heat map or a histogram; beside the range before, if asked. */
import { useView } from "../app/view";
import { useSpeech } from "../i18n";
import { OverTime, Ranked, WeekMap } from "../parts/explored";
import { HistogramCard } from "../parts/histogram";

const KINDS = ["line", "bar", "heatmap", "histogram", "ranking"] as const;

const STATISTICS = ["mean", "p50", "p90", "p95", "p99", "min", "max"];
const PLAIN = [
  "requests", "success_rate", "error_rate", "requests_per_second", "concurrency_mean", "concurrency_max", "prompt_tokens",
  "completion_tokens", "cached_tokens", "reasoning_tokens", "total_tokens", "cost_usd",
];
const COLUMNS = [
  "response_time_ms", "time_to_first_token_ms", "time_to_last_token_ms", "time_to_first_byte_ms", "time_per_output_token_ms",
  "output_tokens_per_second", "tokens_per_second", "inter_chunk_max_ms", "proxy_overhead_ms",
];
const DIMENSIONS = [
  "model", "response_model", "backend_name", "endpoint", "origin", "api_key_id", "user", "streaming", "outcome", "error_category",
  "error_type", "finish_reason", "status_code", "app_version", "prompt_length", "completion_length", "hour_of_day", "weekday",
];

export default function Explore() {
  const { t } = useSpeech();
  const { search, change } = useView();
  const metric = search.metric ?? "response_time_ms.p95";
  const [column] = metric.split(".");
  const kind = KINDS.find((each) => each === search.as) ?? "line";
  const by = search.by ?? null;
  return (
    <>
      <div className="bar">
        <label className="row">
          {t("explore.metric")}
          <select className="select" value={metric} onChange={(event) => change({ metric: event.target.value })}>
            {PLAIN.map((name) => (
              <option key={name}>{name}</option>
            ))}
            {COLUMNS.map((name) => (
              <optgroup key={name} label={name}>
                {STATISTICS.map((statistic) => (
                  <option key={statistic}>{`${name}.${statistic}`}</option>
                ))}
              </optgroup>
            ))}
          </select>
        </label>
        <label className="row">
          {t("explore.dimension")}
          <select className="select" value={by ?? ""} onChange={(event) => change({ by: event.target.value === "" ? undefined : event.target.value })}>
            <option value="">–</option>
            {DIMENSIONS.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <div className="segments" role="group" aria-label={t("explore.kind")}>
          {KINDS.map((each) => (
            <button key={each} type="button" aria-pressed={kind === each} onClick={() => change({ as: each === "line" ? undefined : each })}>
              {t(`explore.${each}`)}
            </button>
          ))}
        </div>
        <label className="row">
          <input type="checkbox" checked={search.compare === true} onChange={(event) => change({ compare: event.target.checked ? true : undefined })} />
          {t("explore.compare")}
        </label>
      </div>
      <div className="grid">
        {kind === "histogram" && column !== undefined && COLUMNS.includes(column) ? (
          <HistogramCard title="explore.histogram" column={column} className="tall" />
        ) : kind === "heatmap" ? (
          <WeekMap metric={metric} />
        ) : kind === "ranking" ? (
          <Ranked metric={metric} by={by ?? "model"} />
        ) : (
          <OverTime metric={metric} by={by} bars={kind === "bar"} compare={search.compare === true} />
        )}
      </div>
    </>
  );
}
