/** What servers say is left of their limits, by server and key; nothing where no server said so. */
import { QUOTAS, useQuotas, type Quota } from "../api/quotas";
import { useView } from "../app/view";
import { count, duration, percent } from "../format/numbers";
import { moment } from "../format/times";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { Card } from "./card";

const COLUMNS: readonly Key[] = ["table.backend", "table.key", "quotas.limit", "quotas.left", "quotas.resets"];
const COUNTED: Readonly<Record<string, Key>> = { requests: "metric.requests", tokens: "metric.tokens" };

function Left({ quota }: { quota: Quota }) {
  const { t, locale } = useSpeech();
  return (
    <>
      {quota.left_ratio === null ? "" : percent(quota.left_ratio, locale)}
      {quota.left !== null && <p className="meaning">{count(quota.left, locale)}</p>}
      {quota.left_ratio !== null && <meter min={0} max={1} low={0.25} value={quota.left_ratio} aria-label={t("quotas.left")} />}
    </>
  );
}

function Row({ quota }: { quota: Quota }) {
  const { t, locale } = useSpeech();
  const { zone } = useView();
  const counted = COUNTED[quota.limit];
  const window = quota.window_s === null ? quota.limit : duration(quota.window_s * 1000, locale);
  return (
    <tr>
      <th scope="row">
        <span className="name">{quota.backend}</span>
      </th>
      <td>
        <span className="name">{quota.api_key_id === "" ? "–" : quota.api_key_id}</span>
      </td>
      <td>{counted === undefined ? window : t(counted)}</td>
      <td className="number">
        <Left quota={quota} />
      </td>
      <td className="when">{quota.resets_at === null ? "–" : moment(quota.resets_at, locale, zone)}</td>
    </tr>
  );
}

export function QuotasCard({ only = () => true }: { only?: (quota: Quota) => boolean }) {
  const { t } = useSpeech();
  const quotas = (useQuotas().data?.quotas ?? []).filter(only);
  if (quotas.length === 0) return null;
  return (
    <Card title={t("quotas.title")} source={QUOTAS}>
      <div className="scroll" tabIndex={0} role="group" aria-label={t("quotas.title")}>
        <table className="watched">
          <thead>
            <tr>
              {COLUMNS.map((key) => (
                <th key={key} scope="col" className={key === "quotas.left" ? "number" : ""}>
                  {t(key)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {quotas.map((quota) => (
              <Row key={`${quota.backend} ${quota.api_key_id} ${quota.limit}`} quota={quota} />
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}
