/** How close am I to a limit, does it last, and who is about to spend too much? */
import { BudgetsCard } from "../parts/budgets";
import { useQuotas } from "../api/quotas";
import { useSpeech } from "../i18n";
import { LimitCard } from "../parts/limit_windows";
import { QuotasCard } from "../parts/quotas";
import { Loaded } from "../parts/states";
import { byKey, isWindow } from "../state/limits";
import "../styles/limits.css";

function NoLimits() {
  const { t } = useSpeech();
  return (
    <section className="card">
      <div className="centre compact">
        <strong>{t("limits.none")}</strong>
        <span>{t("limits.who")}</span>
      </div>
    </section>
  );
}

export default function LimitsView() {
  const answer = useQuotas();
  return (
    <div className="grid">
      <Loaded from={answer} compact>
        {({ quotas, over }) => {
          const windows = byKey([...quotas, ...over].filter(isWindow));
          return (
            <>
              {windows.map(([key, limits]) => (
                <LimitCard key={key} limits={limits} />
              ))}
              {windows.length === 0 && quotas.length === 0 && <NoLimits />}
            </>
          );
        }}
      </Loaded>
      <BudgetsCard />
      <QuotasCard only={(quota) => !isWindow(quota)} />
    </div>
  );
}
