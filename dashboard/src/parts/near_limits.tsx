/** On the overview, only where something is near: windows that do not last, and budgets that are nearly used. */
import { Link } from "@tanstack/react-router";

import { useBudgets, useQuotas } from "../api/quotas";
import { percent } from "../format/numbers";
import { useSpeech } from "../i18n";
import { nearLimits, STANDING_TONES, toneOf } from "../state/limits";
import { useVerdict, useWindowName } from "./limit_windows_words";

const MOST = 3;

export function NearLimits() {
  const { t, locale } = useSpeech();
  const [windowName, verdict] = [useWindowName(), useVerdict()];
  const found = nearLimits(useQuotas().data?.quotas ?? [], useBudgets().data?.budgets ?? []);
  const told = [
    ...found.windows.map((quota) => ({ key: `${quota.backend} ${quota.api_key_id} ${quota.limit}`, tone: toneOf(quota), name: windowName(quota), text: verdict(quota) })),
    ...found.standings.map(({ budget, standing }) => ({
      key: `${budget.name} ${standing.value ?? ""}`,
      tone: STANDING_TONES[standing.state] ?? "",
      name: budget.each === null ? budget.name : `${budget.name}, ${standing.value ?? t("table.none")}`,
      text: standing.state === "projected" ? `${t("budgets.state.projected")}: ${percent(standing.projected_ratio, locale)}` : t("limits.used", { share: percent(standing.spent_ratio, locale) }),
    })),
  ];
  if (told.length === 0) return null;
  return (
    <div className="health near" role="status">
      {told.slice(0, MOST).map(({ key, tone, name, text }) => (
        <Link key={key} className={tone === "bad" ? "reason bad" : "reason"} to="/limits" search={(before: Record<string, unknown>) => before as never}>
          <strong className="name">{name}</strong> {text}
        </Link>
      ))}
      {told.length > MOST && (
        <Link className="reason" to="/limits" search={(before: Record<string, unknown>) => before as never}>
          {t("budgets.more", { n: told.length - MOST })}
        </Link>
      )}
    </div>
  );
}
