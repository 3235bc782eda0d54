/** Budgets, and who is about to spend too much: the largest first. */
import { Fragment, useState } from "react";

import { type Budget, BUDGETS, type Standing, useBudgets } from "../api/quotas";
import { useView } from "../app/view";
import { count, percent, usd } from "../format/numbers";
import { moment } from "../format/times";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { STANDING_TONES } from "../state/limits";
import { Card } from "./card";
import { Loaded } from "./states";

const SHOWN = 5;
const STATES: Readonly<Record<string, Key>> = {
  ok: "budgets.state.ok",
  near: "budgets.state.near",
  projected: "budgets.state.projected",
  over: "budgets.state.over",
};
const PERIODS: Readonly<Record<string, Key>> = { day: "budgets.per.day", week: "budgets.per.week", month: "budgets.per.month" };
const COLUMNS: readonly (readonly [Key, boolean])[] = [
  ["budgets.for", false],
  ["budgets.used", true],
  ["budgets.projected", true],
  ["versions.state", false],
];
const EXAMPLE = '[[budgets]]\nname = "team"\nusd = 50\nper = "month"\neach = "user"';

function amount(value: number, budget: Budget, locale: string): string {
  return budget.unit === "USD" ? usd(value, locale) : count(value, locale);
}

function Row({ budget, standing }: { budget: Budget; standing: Standing }) {
  const { t, locale } = useSpeech();
  const tone = STANDING_TONES[standing.state] ?? "";
  const unpriced = budget.unit === "USD" && standing.counted < standing.requests;
  return (
    <tr>
      <th scope="row">
        <span className="name">{budget.each === null ? t("changes.all") : (standing.value ?? t("table.none"))}</span>
        {unpriced && <p className="meaning">{t("sessions.costOf", { n: count(standing.counted, locale), of: count(standing.requests, locale) })}</p>}
      </th>
      <td className="number">
        {amount(standing.spent, budget, locale)} <span className="muted">{t("budgets.of", { limit: amount(budget.limit, budget, locale) })}</span>
        <div className={`gauge thin ${tone}`} aria-hidden="true">
          <span style={{ width: `${Math.min(1, standing.spent_ratio) * 100}%` }} />
        </div>
      </td>
      <td className="number">
        {amount(standing.projected, budget, locale)} <span className="muted">{percent(standing.projected_ratio, locale)}</span>
      </td>
      <td>
        <span className="state">
          <span className={`dot ${tone}`} />
          {t(STATES[standing.state] ?? "budgets.state.ok")}
        </span>
      </td>
    </tr>
  );
}

function Group({ budget }: { budget: Budget }) {
  const { t, locale } = useSpeech();
  const { zone } = useView();
  const [all, setAll] = useState(false);
  const standings = budget.standings ?? [];
  const shown = all ? standings : standings.slice(0, SHOWN);
  const hidden = standings.length - SHOWN;
  const period = PERIODS[budget.per];
  return (
    <>
      <tr className="group">
        <th colSpan={COLUMNS.length} scope="rowgroup">
          <span className="name">{budget.name}</span>{" "}
          <span className="muted">{budget.period_end == null ? t("budgets.waiting") : period !== undefined && t(period, { time: moment(budget.period_end, locale, zone) })}</span>
          {budget.error != null && <p className="meaning">{budget.error}</p>}
        </th>
      </tr>
      {shown.map((standing) => (
        <Row key={standing.value ?? ""} budget={budget} standing={standing} />
      ))}
      {hidden > 0 && (
        <tr>
          <td colSpan={COLUMNS.length}>
            <button type="button" className="link" onClick={() => setAll(!all)}>
              {all ? t("budgets.fewer") : t("budgets.more", { n: hidden })}
            </button>
          </td>
        </tr>
      )}
    </>
  );
}

export function BudgetsCard() {
  const { t } = useSpeech();
  const answer = useBudgets();
  return (
    <Card title={t("budgets.title")} source={BUDGETS}>
      <Loaded from={answer} compact>
        {({ budgets }) =>
          budgets.length === 0 ? (
            <>
              <p className="muted">{t("budgets.none")}</p>
              <pre>{EXAMPLE}</pre>
            </>
          ) : (
            <div className="scroll" tabIndex={0} role="group" aria-label={t("budgets.title")}>
              <table className="budgets">
                <thead>
                  <tr>
                    {COLUMNS.map(([key, number]) => (
                      <th key={key} scope="col" className={number ? "number" : ""}>
                        {t(key)}
                      </th>
                    ))}
                  </tr>
                </thead>
                <tbody>
                  {budgets.map((budget) => (
                    <Fragment key={budget.name}>
                      <Group budget={budget} />
                    </Fragment>
                  ))}
                </tbody>
              </table>
            </div>
          )
        }
      </Loaded>
    </Card>
  );
}
