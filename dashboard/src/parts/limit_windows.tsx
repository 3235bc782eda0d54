/** The windows of one subscription: what is left of each, how it goes on, and how full the last ones were. */
import { useCallback, useMemo } from "react";

import { QUOTAS, type Quota } from "../api/quotas";
import { useView } from "../app/view";
import { Chart, type Paint } from "../charts/chart";
import { useAxes } from "../charts/hooks";
import { lines } from "../charts/options";
import { count, percent, usd } from "../format/numbers";
import { useSpeech } from "../i18n";
import { burnDown, toneOf } from "../state/limits";
import { Card } from "./card";
import { span, useVerdict, useWindowName, when } from "./limit_windows_words";

function BurnDown({ quota, name }: { quota: Quota; name: string }) {
  const { t, locale } = useSpeech();
  const axes = useAxes((value) => percent(value, locale));
  const { left, projected } = useMemo(() => burnDown(quota), [quota]);
  const option = useCallback(
    (paint: Paint) => {
      const drawn = lines(
        [
          { name: t("quotas.left"), points: left, colour: 0 },
          { name: t("limits.series.projection"), points: projected, colour: 4 },
        ],
        paint,
        axes,
      ) as { series: Record<string, unknown>[]; yAxis: object; xAxis: object };
      const [first, second] = drawn.series;
      const [from, to] = [quota.began_at, quota.resets_at].map((at) => (at == null ? undefined : Date.parse(at)));
      return {
        ...drawn,
        brush: undefined,
        xAxis: { ...drawn.xAxis, min: from, max: to, splitNumber: 3 },
        yAxis: { ...drawn.yAxis, max: 1, splitNumber: 2, minInterval: 0.5 },
        series: [
          { ...first, showSymbol: left.length < 3, areaStyle: { color: paint.accent, opacity: 0.08 }, lineStyle: { width: 2, color: paint.accent }, itemStyle: { color: paint.accent } },
          { ...second, showSymbol: false, lineStyle: { width: 1.6, type: "dashed", color: quota.verdict === "runs_out" ? paint.bad : paint.muted }, itemStyle: { color: paint.muted } },
        ],
      };
    },
    [axes, left, projected, quota, t],
  );
  return (
    <div className="burn">
      <Chart option={option} label={t("limits.burnDown", { limit: name })} />
    </div>
  );
}

function Past({ quota }: { quota: Quota }) {
  const { t, locale } = useSpeech();
  const { zone, nowMs } = useView();
  const past = (quota.past ?? []).filter(({ used_ratio }) => used_ratio !== null);
  if (past.length === 0) return null;
  return (
    <div className="past">
      <p className="meaning">{t("limits.past")}</p>
      <ol aria-label={t("limits.past")}>
        {past.map((window) => {
          const text = `${window.resets_at === null ? "–" : when(window.resets_at, nowMs, locale, zone)}: ${t("limits.used", { share: percent(window.used_ratio, locale) })}`;
          return (
            <li key={window.resets_at} title={text}>
              <span className="visually-hidden">{text}</span>
              <span aria-hidden="true" style={{ height: `${Math.max(4, (window.used_ratio ?? 0) * 100)}%` }} />
            </li>
          );
        })}
      </ol>
    </div>
  );
}

function Window({ quota, nowMs }: { quota: Quota; nowMs: number }) {
  const { t, locale } = useSpeech();
  const { zone } = useView();
  const [name, verdict, tone] = [useWindowName()(quota), useVerdict()(quota), toneOf(quota)];
  const resets = quota.is_over === true ? null : quota.resets_at;
  const left = quota.left_ratio;
  return (
    <section className="window" aria-label={name}>
      <div className="window-head">
        <h3>{name}</h3>
        <strong className="left">{left === null ? "–" : t("limits.left", { share: percent(left, locale) })}</strong>
      </div>
      <div className={`gauge ${tone}`} role="meter" aria-label={name} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round((left ?? 0) * 100)}>
        <span style={{ width: `${(left ?? 0) * 100}%` }} />
      </div>
      <p className="verdict">
        <span className={`dot ${tone}`} />
        {verdict}
      </p>
      <p className="meaning">
        {[
          resets === null ? null : t("limits.resets", { time: when(resets, nowMs, locale, zone), duration: span((Date.parse(resets) - nowMs) / 1000, locale) }),
          quota.burn_ratio_per_h == null || quota.burn_ratio_per_h === 0 ? null : t("limits.burn", { share: percent(quota.burn_ratio_per_h, locale) }),
        ]
          .filter((words) => words !== null)
          .join(" · ")}
      </p>
      {(quota.samples ?? []).length > 0 && <BurnDown quota={quota} name={name} />}
      {quota.requests != null && <p className="meaning">{t("limits.inWindow", { requests: count(quota.requests, locale), tokens: count(quota.tokens, locale), cost: usd(quota.cost_usd, locale) })}</p>}
      <Past quota={quota} />
    </section>
  );
}

export function LimitCard({ limits }: { limits: readonly Quota[] }) {
  const { t } = useSpeech();
  const { nowMs } = useView();
  const first = limits[0];
  if (first === undefined) return null;
  return (
    <Card title={`${first.backend.replace(/:443$/, "")} · ${first.api_key_id === "" ? t("limits.noKey") : first.api_key_id}`} source={QUOTAS}>
      <div className="windows">
        {limits.map((quota) => (
          <Window key={quota.limit} quota={quota} nowMs={nowMs} />
        ))}
      </div>
    </Card>
  );
}
