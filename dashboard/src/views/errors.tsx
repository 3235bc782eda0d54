/** What broke, where, since when, and what to do about it. */
import type { UseQueryResult } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";

import { useAnswer, useBucket, useFetched, useSelection } from "../api/query";
import type { components } from "../api/schema";
import { Selected } from "../app/selected";
import { useView } from "../app/view";
import type { Paint } from "../charts/chart";
import { useAxes, useZoom } from "../charts/hooks";
import { seriesOf, stacked } from "../charts/options";
import { columnOf } from "../format/columns";
import { count, duration, percent } from "../format/numbers";
import { rowMoment } from "../format/times";
import { useSpeech } from "../i18n";
import { ERROR_TEXTS, type ProgramText, useProgramTexts } from "../i18n/program";
import { Bars } from "../parts/bars";
import { Card } from "../parts/card";
import { Cards } from "../parts/cards";
import { ChartCard } from "../parts/chart_card";
import { nameOf, termOf } from "../parts/names";
import { Loaded, Loading } from "../parts/states";
import { ERROR_RATES } from "./cards";

/** No finer: hours of errors are rolled up on every day. */
const HOURS_OF_A_DAY = 24;

/** Under these every record is an error, and every rate 100 %. */
const OF_ERRORS = ["outcome", "error_category", "error_type", "error_phase", "status_code"] as const;

type Errors = components["schemas"]["Errors"];

function OverTime() {
  const { t, locale } = useSpeech();
  const axes = useAxes((value) => count(value, locale));
  const zoom = useZoom();
  const answer = useAnswer({ metrics: ["requests"], groupBy: ["time", "error_category"], bucket: useBucket(HOURS_OF_A_DAY) });
  const series = useMemo(() => {
    if (answer.data === undefined) return [];
    const failed = { ...answer.data, rows: answer.data.rows.filter((row) => row.key["error_category"] !== null || row.merged > 0) };
    return seriesOf(failed, [{ metric: "requests", name: "" }], (row) => nameOf(row, "error_category", t));
  }, [answer.data, t]);
  const option = useCallback((paint: Paint) => stacked(series, paint, axes), [series, axes]);
  return <ChartCard title={t("chart.errorsOverTime")} className="two-thirds" answer={answer} option={option} legend={series} nothing={series.length > 0 ? undefined : t("errors.none")} onZoom={zoom} />;
}

/** How far the requests had come; in the order in which a request goes. */
function Phases({ answer }: { answer: UseQueryResult<Errors> }) {
  const { t, locale } = useSpeech();
  const known = answer.data?.phases ?? [];
  const most = Math.max(1, ...known.map(({ n }) => n));
  return (
    <Card title={t("errors.phase")} className="third" source="/api/v1/errors">
      <Loaded from={answer}>
        {() =>
          known.length === 0 ? (
            <p className="centre">{t("errors.none")}</p>
          ) : (
            <Bars label={t("errors.phase")} rows={known.map(({ phase, n }) => ({ name: phase === null ? t("table.none") : termOf("error_phase", phase, t), text: count(n, locale), share: n / most }))} />
          )
        }
      </Loaded>
    </Card>
  );
}

function Types({ errors, text }: { errors: Errors; text: ProgramText }) {
  const { t, locale } = useSpeech();
  const { change } = useView();
  const share = columnOf(errors.types.map((row) => row.share), "ratio", locale);
  return (
    <Card title={t("errors.advice")} source="/api/v1/errors">
      <div className="scroll" tabIndex={0} role="group" aria-label={t("errors.advice")}>
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
                    <span className="code">
                      {row.category}/{row.type ?? "–"}
                    </span>
                  </button>
                </th>
                <td className="number">{count(row.n, locale)}</td>
                <td className="number">{share(row.share)}</td>
                <td className="advice">
                  {text(`meaning.${row.category}/${row.type ?? ""}`, row.meaning ?? "")} <span className="muted">{text(`advice.${row.category}/${row.type ?? ""}`, row.advice ?? "")}</span>
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
    <Card title={t("errors.examples")} source="/api/v1/errors">
      <div className="scroll" tabIndex={0} role="group" aria-label={t("errors.examples")}>
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
              <tr key={`${example.host ?? ""}/${example.arrival}`}>
                <td className="when">
                  <button type="button" className="link" onClick={() => change({ id: example.request_id ?? String(example.arrival) })}>
                    {rowMoment(String(example.timestamp), locale, zone)}
                  </button>
                </td>
                <td>
                  <span className="code">
                    {example.error_category}/{example.error_type}
                  </span>
                </td>
                <td>
                  {example.model === null || example.model === undefined ? (
                    "–"
                  ) : (
                    <button type="button" className="link" title={example.model} onClick={() => change({ model: example.model ?? undefined })}>
                      <span className="name">{example.model}</span>
                    </button>
                  )}
                </td>
                <td>{example.status_code ?? "–"}</td>
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
  const text = useProgramTexts(ERROR_TEXTS);
  return (
    <>
      <p className="lead">
        {answer.data !== undefined && (
          <>
            <strong>{count(answer.data.errors, locale)}</strong> {t("metric.errors")} · {percent(answer.data.share, locale)} · {t("metric.n", { n: count(answer.data.requests, locale) })}
            {answer.data.retry[0]?.wait_ms != null && ` · ${t("errors.wait", { time: duration(answer.data.retry[0].wait_ms, locale) })}`}
          </>
        )}
      </p>
      <div className="grid">
        <OverTime />
        <Phases answer={answer} />
        <Selected without={OF_ERRORS}>
          <Cards rows={ERROR_RATES} />
        </Selected>
        <Loaded from={answer}>
          {(errors) => (
            <>
              {errors.types.length > 0 && (text === null ? <Loading /> : <Types errors={errors} text={text} />)}
              {errors.examples.length > 0 && <Examples errors={errors} />}
            </>
          )}
        </Loaded>
      </div>
    </>
  );
}
