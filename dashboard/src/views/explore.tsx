/** Any metric by any dimension, as lines, bars, a heat map or a histogram; beside the range before, if asked. */
import { DIMENSIONS, MEASURED_COLUMNS, PLAIN_METRICS, SUMMED_COLUMNS } from "../api/columns";
import { useView } from "../app/view";
import { useSpeech } from "../i18n";
import { OverTime, Ranked, WeekMap } from "../parts/explored";
import { HistogramCard } from "../parts/histogram";

const KINDS = ["line", "bar", "heatmap", "histogram", "ranking"] as const;

const STATISTICS = ["mean", "p50", "p90", "p95", "p99", "min", "max"];
export default function Explore() {
  const { t } = useSpeech();
  const { search, change } = useView();
  const metric = search.metric ?? "response_time_ms.p95";
  const measured = MEASURED_COLUMNS.find(({ name }) => name === metric.split(".")[0])?.name;
  const kind = KINDS.find((each) => each === search.as) ?? "line";
  const by = search.by ?? null;
  return (
    <>
      <div className="bar">
        <label className="row">
          {t("explore.metric")}
          <select className="select" value={metric} onChange={(event) => change({ metric: event.target.value })}>
            {[...PLAIN_METRICS, ...SUMMED_COLUMNS].map((name) => (
              <option key={name}>{name}</option>
            ))}
            {MEASURED_COLUMNS.map(({ name }) => (
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
        {kind === "histogram" && measured !== undefined ? (
          <HistogramCard title="explore.histogram" column={measured} className="tall" />
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
