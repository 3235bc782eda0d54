/** Any metric by any dimensions, in the shape that a reader chooses; beside the range before, if asked. */
import { useId, useMemo } from "react";

import { DIMENSIONS, MEASURED_COLUMNS, PLAIN_METRICS, SUMMED_COLUMNS } from "../api/columns";
import { useTagKeys } from "../api/offered";
import { useComparable } from "../api/query";
import { useView } from "../app/view";
import { useSpeech } from "../i18n";
import { OverTime, RankedBy } from "../parts/explored";
import { MatrixMap, WeekMap } from "../parts/heat_maps";
import { HistogramCard } from "../parts/histogram";
import { dimensionName, metricName } from "../parts/metric_names";
import { YearCard } from "../parts/year_map";
import { dimensionsOf, isShape, measuredOf, offerOf, type Shape, SHAPES } from "../state/explore";

const STATISTICS = ["mean", "p50", "p90", "p95", "p99", "min", "max"];
const DEFAULT_METRIC = "response_time_ms.p95";

function MetricChoice({ metric }: { metric: string }) {
  const { t } = useSpeech();
  const { change } = useView();
  const option = (name: string) => (
    <option key={name} value={name}>
      {metricName(name, t)}
    </option>
  );
  return (
    <label className="row">
      {t("explore.metric")}
      <select className="select" aria-label={t("explore.metric")} value={metric} onChange={(event) => change({ metric: event.target.value })}>
        {[...PLAIN_METRICS, ...SUMMED_COLUMNS].map(option)}
        {MEASURED_COLUMNS.map(({ name }) => (
          <optgroup key={name} label={metricName(name, t)}>
            {STATISTICS.map((statistic) => option(`${name}.${statistic}`))}
          </optgroup>
        ))}
      </select>
    </label>
  );
}

function DimensionChoice({ name, label, without, disabled, reasons }: { name: "by" | "and"; label: string; without: string | undefined; disabled: boolean; reasons: string }) {
  const { t } = useSpeech();
  const { search, change } = useView();
  const keys = useTagKeys();
  const chosen = search[name] ?? "";
  const offered = useMemo(() => {
    const all: readonly string[] = [...DIMENSIONS, ...(keys ?? []).map(({ key }) => `tag:${key}`)];
    return (chosen === "" || all.includes(chosen) ? all : [...all, chosen]).filter((each) => each !== without);
  }, [keys, chosen, without]);
  return (
    <label className="row">
      {label}
      <select className="select" aria-label={label} value={disabled ? "" : chosen} disabled={disabled} aria-describedby={reasons} onChange={(event) => change({ [name]: event.target.value === "" ? undefined : event.target.value })}>
        <option value="">–</option>
        {offered.map((each) => (
          <option key={each} value={each}>
            {dimensionName(each, t)}
          </option>
        ))}
      </select>
    </label>
  );
}

function Switch({ name, label, disabled, reasons }: { name: "compare" | "log"; label: string; disabled: boolean; reasons: string }) {
  const { search, change } = useView();
  return (
    <label className={disabled ? "row disabled" : "row"}>
      <input type="checkbox" checked={!disabled && search[name] === true} disabled={disabled} aria-describedby={reasons} onChange={(event) => change({ [name]: event.target.checked ? true : undefined })} />
      {label}
    </label>
  );
}

function Drawn({ shape, metric }: { shape: Shape; metric: string }) {
  const { t } = useSpeech();
  const { search } = useView();
  const offer = offerOf(shape, useComparable());
  const by = useMemo(() => dimensionsOf(shape, search.by, search.and), [shape, search.by, search.and]);
  const asked = { metric, by, compare: offer.compare && search.compare === true, log: offer.log && search.log === true };
  const measured = measuredOf(metric);
  switch (shape) {
    case "histogram":
      return measured === undefined ? <p className="card centre">{t("explore.noHistogram")}</p> : <HistogramCard column={measured} className="tall" by={by} compare={asked.compare} log={asked.log} />;
    case "heatmap":
      return <WeekMap {...asked} />;
    case "matrix":
      return <MatrixMap {...asked} />;
    case "ranking":
      return <RankedBy {...asked} />;
    case "year":
      return <YearCard metrics={[metric]} />;
    default:
      return <OverTime {...asked} bars={shape === "bar"} />;
  }
}

export default function Explore() {
  const { t } = useSpeech();
  const { search, change } = useView();
  const metric = search.metric ?? DEFAULT_METRIC;
  const shape = isShape(search.as) ? search.as : "line";
  const offer = offerOf(shape, useComparable());
  const reasons = useId();
  return (
    <>
      <div className="bar explore-bar">
        <MetricChoice metric={metric} />
        <DimensionChoice name="by" label={t("explore.dimension")} without={undefined} disabled={!offer.by} reasons={reasons} />
        {(search.by !== undefined || shape === "matrix") && offer.by && <DimensionChoice name="and" label={t("explore.and")} without={search.by} disabled={search.by === undefined} reasons={reasons} />}
        <div className="segments" role="group" aria-label={t("explore.kind")}>
          {SHAPES.map((each) => (
            <button key={each} type="button" aria-pressed={shape === each} onClick={() => change({ as: each === "line" ? undefined : each })}>
              {t(`explore.${each}`)}
            </button>
          ))}
        </div>
        <Switch name="compare" label={t("explore.compare")} disabled={!offer.compare} reasons={reasons} />
        <Switch name="log" label={t("explore.log")} disabled={!offer.log} reasons={reasons} />
      </div>
      <p id={reasons} className="hint explore-reasons">
        {offer.reasons.map((key) => t(key)).join(" ")}
      </p>
      <div className="grid">
        <Drawn shape={shape} metric={metric} />
      </div>
    </>
  );
}
