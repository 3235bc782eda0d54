/** What broke, where, since when, and what to do about it. */
import type * as echarts from "echarts/core";
import { useCallback, useMemo, useRef } from "react";

import { useAnswer, useFetched, useSelection } from "../api/query";
import type { components } from "../api/schema";
import { useView } from "../app/view";
import { Chart, type Paint } from "../charts/chart";
import { useAxes, useZoom } from "../charts/hooks";
import { seriesOf, stacked } from "../charts/options";
import { count, duration, percent } from "../format/numbers";
import { moment } from "../format/times";
import { useSpeech } from "../i18n";
import { BreakdownCard } from "../parts/breakdown";
import { Card } from "../parts/card";
import { Loaded } from "../parts/states";
import { plainTable } from "../parts/tables";
import { bucketFor, lengthMs } from "../state/range";

type Errors = components["schemas"]["Errors"];

function OverTime() {
  const { t, locale } = useSpeech();
  const { range } = useView();
  const axes = useAxes((value) => count(value, locale));
  const zoom = useZoom();
  const handle = useRef<echarts.ECharts | null>(null);
  const answer = useAnswer({ metrics: ["requests"], groupBy: ["time", "error_category"], bucket: bucketFor(lengthMs(range)) });
  const series = useMemo(() => {
    if (answer.data === undefined) return [];
    const failed = { ...answer.data, rows: answer.data.rows.filter((row) => row.key["error_category"] !== null) };
    return seriesOf(failed, [{ metric: "requests", name: "" }], (row) => String(row.key["error_category"]));
  }, [answer.data]);
  const option = useCallback((paint: Paint) => stacked(series, paint, axes), [series, axes]);
  return (
    <Card title={t("chart.errorsOverTime")} table={answer.data && plainTable(answer.data)} handle={handle}>
      <Loaded from={answer} empty={(data) => data.records === 0}>
        {() => (series.length === 0 ? <p className="centre">{t("errors.none")}</p> : <Chart option={option} label={t("chart.errorsOverTime")} onZoom={zoom} handle={handle} />)}
      </Loaded>
    </Card>
  );
}

function Types({ errors }: { errors: Errors }) {
  const { t, locale } = useSpeech();
  const { change } = useView();
  return (
    <Card title={t("errors.type")}>
      <div className="scroll" tabIndex={0} role="region" aria-label={t("errors.type")}>
        <table>
          <thead>
            <tr>
              <th scope="col">{t("errors.type")}</th>
              <th scope="col" className="number">
                {t("metric.errors")}
              </th>
              <th scope="col" className="number">
                {t("metric.share")}
              </th>
              <th scope="col">{t("errors.advice")}</th>
            </tr>
          </thead>
          <tbody>
            {errors.types.map((row) => (
              <tr key={`${row.category}/${row.type ?? ""}`}>
                <th scope="row">
                  <button type="button" className="link" onClick={() => change({ error_category: row.category, error_type: row.type ?? undefined })}>
                    {row.category}/{row.type ?? "–"}
                  </button>
                </th>
                <td className="number">{count(row.n, locale)}</td>
                <td className="number">{percent(row.share, locale)}</td>
                <td>
                  <span>{row.meaning}</span> <span className="muted">{row.advice}</span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

function Examples({ errors }: { errors: Errors }) {
  const { t, locale } = useSpeech();
  const { zone, change } = useView();
  return (
    <Card title={t("errors.examples")}>
      <div className="scroll" tabIndex={0} role="region" aria-label={t("errors.examples")}>
        <table>
          <thead>
            <tr>
              {(["table.time", "errors.type", "table.model", "table.status", "table.message"] as const).map((key) => (
                <th key={key} scope="col">
                  {t(key)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {errors.examples.map((example) => (
              <tr key={example.id}>
                <td>
                  <button type="button" className="link" onClick={() => change({ id: String(example.id) })}>
                    {moment(String(example.timestamp), locale, zone)}
                  </button>
                </td>
                <td>
                  {example.error_category}/{example.error_type}
                </td>
                <td>
                  <span className="name" title={example.model ?? ""}>
                    {example.model ?? "–"}
                  </span>
                </td>
                <td className="number">{example.status_code ?? "–"}</td>
                <td className="message">{example.message ?? ""}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

export default function ErrorsView() {
  const { t, locale } = useSpeech();
  const answer = useFetched<Errors>("/api/v1/errors", { ...useSelection(), examples: 20 });
  return (
    <>
      <Loaded from={answer}>
        {(errors) => (
          <p className="lead">
            <strong>{count(errors.errors, locale)}</strong> {t("metric.errors")} · {percent(errors.share, locale)} · {t("metric.n", { n: count(errors.requests, locale) })}
            {errors.retry[0]?.wait_ms != null && ` · ${t("errors.wait", { time: duration(errors.retry[0].wait_ms, locale) })}`}
          </p>
        )}
      </Loaded>
      <div className="grid">
        <OverTime />
        <BreakdownCard title="errors.category" dimension="error_category" metric="requests" className="third" errorsOnly />
        <BreakdownCard title="errors.type" dimension="error_type" metric="requests" className="third" errorsOnly />
        <BreakdownCard title="table.model" dimension="model" metric="error_rate" className="third" />
        <Loaded from={answer}>
          {(errors) => (
            <>
              <Types errors={errors} />
              <Examples errors={errors} />
            </>
          )}
        </Loaded>
      </div>
    </>
  );
}
