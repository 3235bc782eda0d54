/** What the program watches by itself: objectives with what is left of their error budgets, and alerts. */
import type { ReactNode } from "react";

import { ALERTS, SLOS, useAlerts, useSlos } from "../api/watch";
import type { components } from "../api/schema";
import { useView } from "../app/view";
import { count, duration, percent, rate, withUnit } from "../format/numbers";
import { moment } from "../format/times";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { sloState, unitOfMetric, type Watched } from "../state/watched";
import { Card } from "./card";
import { Loaded } from "./states";

type Slo = components["schemas"]["SloReport"];
type Alert = components["schemas"]["AlertReport"];

const TONES: Readonly<Record<Watched, string>> = { good: "good", bad: "bad", waiting: "warn", unknown: "" };
const PHASES: Readonly<Record<string, readonly [Watched, Key]>> = {
  ok: ["good", "alerts.ok"],
  pending: ["waiting", "alerts.pending"],
  firing: ["bad", "alerts.firing"],
};

function State({ tone, text }: { tone: Watched; text: string }) {
  return (
    <span className="state">
      <span className={`dot ${TONES[tone]}`} />
      {text}
    </span>
  );
}

function About({ row }: { row: Slo | Alert }) {
  const words = Object.entries(row.filter).filter(([, value]) => value !== null);
  return words.map(([name, value]) => (
    <code key={name} className="name">
      {name}={String(value)}
    </code>
  ));
}

function Named({ row, rule }: { row: Slo | Alert; rule: string }) {
  return (
    <th scope="row">
      <span className="name">{row.name}</span>
      <p className="meaning">
        <code>{rule}</code> <About row={row} />
      </p>
    </th>
  );
}

function Columns({ keys }: { keys: readonly (readonly [Key, boolean])[] }) {
  const { t } = useSpeech();
  return (
    <thead>
      <tr>
        {keys.map(([key, number]) => (
          <th key={key} scope="col" className={number ? "number" : ""}>
            {t(key)}
          </th>
        ))}
      </tr>
    </thead>
  );
}

function Listed({ title, none, example, columns, children }: { title: string; none: string | null; example: string; columns: readonly (readonly [Key, boolean])[]; children: ReactNode }) {
  if (none !== null)
    return (
      <p className="muted">
        {none} <code>{example}</code>
      </p>
    );
  return (
    <div className="scroll" tabIndex={0} role="group" aria-label={title}>
      <table className="watched">
        <Columns keys={columns} />
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

const SLO_COLUMNS = [
  ["slos.name", false],
  ["versions.state", false],
  ["slos.objective", true],
  ["slos.now", true],
  ["slos.budget", true],
  ["slos.burn", true],
] as const;

function Budget({ left }: { left: number | null }) {
  const { t, locale } = useSpeech();
  return (
    <>
      {percent(left, locale)}
      {left !== null && <meter min={0} max={1} low={0.25} value={Math.max(0, left)} aria-label={t("slos.budget")} />}
    </>
  );
}

function SloRow({ slo }: { slo: Slo }) {
  const { t, locale } = useSpeech();
  const state = sloState(slo);
  const text = { good: t("slos.met"), bad: t("slos.missed"), waiting: t("state.loading"), unknown: t("slos.unknown") }[state];
  return (
    <tr>
      <Named row={slo} rule={slo.require} />
      <td>
        <State tone={state} text={text} />
        {slo.error !== null && <p className="meaning">{slo.error}</p>}
      </td>
      <td className="number">
        {percent(slo.objective, locale)}
        <p className="meaning">{duration(slo.window_s * 1000, locale)}</p>
      </td>
      <td className="number">
        {percent(slo.good_ratio, locale)}
        <p className="meaning">{t("metric.n", { n: count(slo.requests, locale) })}</p>
      </td>
      <td className="number">
        <Budget left={slo.error_budget_left} />
      </td>
      <td className="number">{slo.burn_rate_1h === null ? "–" : `× ${rate(slo.burn_rate_1h, locale)}`}</td>
    </tr>
  );
}

export function SlosCard() {
  const { t } = useSpeech();
  const answer = useSlos();
  return (
    <Card title={t("slos.title")} source={SLOS}>
      <Loaded from={answer} compact>
        {({ slos }) => (
          <Listed title={t("slos.title")} none={slos.length > 0 ? null : t("slos.none")} example="[[slos]]" columns={SLO_COLUMNS}>
            {slos.map((slo) => (
              <SloRow key={slo.name} slo={slo} />
            ))}
          </Listed>
        )}
      </Loaded>
    </Card>
  );
}

const ALERT_COLUMNS = [
  ["alerts.name", false],
  ["versions.state", false],
  ["alerts.since", false],
  ["alerts.value", true],
  ["alerts.webhook", false],
] as const;

function AlertRow({ alert }: { alert: Alert }) {
  const { t, locale } = useSpeech();
  const { zone } = useView();
  const [tone, key] = PHASES[alert.phase] ?? (["unknown", "slos.unknown"] as const);
  const unit = alert.against === null ? unitOfMetric(alert.metric) : "ratio"; // a change is a share of what was before
  return (
    <tr>
      <Named row={alert} rule={`${alert.against === null ? "" : "Δ "}${alert.metric} ${alert.op} ${withUnit(alert.threshold, unit, locale)}`} />
      <td>
        <State tone={tone} text={t(key)} />
        {alert.error !== null && <p className="meaning">{alert.error}</p>}
      </td>
      <td className="when">{alert.since === null ? "–" : moment(alert.since, locale, zone)}</td>
      <td className="number">
        {withUnit(alert.value, unit, locale)}
        <p className="meaning">
          {t("metric.n", { n: count(alert.n, locale) })} · {duration(alert.window_s * 1000, locale)}
        </p>
      </td>
      <td>
        <span className="name">{alert.webhook ?? "–"}</span>
        {alert.last_delivery_error !== null && <p className="meaning">{alert.last_delivery_error}</p>}
      </td>
    </tr>
  );
}

export function AlertsCard() {
  const { t } = useSpeech();
  const answer = useAlerts();
  return (
    <Card title={t("alerts.title")} source={ALERTS}>
      <Loaded from={answer} compact>
        {({ alerts }) => (
          <Listed title={t("alerts.title")} none={alerts.length > 0 ? null : t("slos.none")} example="[[alerts]]" columns={ALERT_COLUMNS}>
            {alerts.map((alert) => (
              <AlertRow key={alert.name} alert={alert} />
            ))}
          </Listed>
        )}
      </Loaded>
    </Card>
  );
}
