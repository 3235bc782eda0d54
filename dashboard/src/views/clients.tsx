/** Who asks: by origin, application, key, user, session, agent, or a tag of one's own. */
import { useTagKeys } from "../api/offered";
import { useView } from "../app/view";
import { count } from "../format/numbers";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { Cards } from "../parts/cards";
import { QuotasCard } from "../parts/quotas";
import { Loading } from "../parts/states";
import { clients } from "./cards";

const DIMENSIONS: readonly (readonly [string, Key])[] = [
  ["origin", "table.origin"],
  ["app", "table.app"],
  ["api_key_id", "table.key"],
  ["user", "table.user"],
  ["session_id", "table.session"],
  ["agent_id", "table.agent"],
  ["tag", "table.tag"],
];

/** The keys that there are, the most used first, which is shown until another is chosen. */
function ByTag({ chosen }: { chosen: string | undefined }) {
  const { t, locale } = useSpeech();
  const { change } = useView();
  const keys = useTagKeys();
  if (keys === undefined) return <Loading />;
  const key = chosen ?? keys[0]?.key;
  if (key === undefined)
    return (
      <div className="card">
        <div className="centre">
          <strong>{t("table.noTags")}</strong>
          <span>{t("table.noTagsHint")}</span>
        </div>
      </div>
    );
  const offered = keys.some((each) => each.key === key) ? keys : [{ key, requests: 0, values: [] }, ...keys];
  return (
    <>
      <div className="segments tag-keys" role="group" aria-label={t("table.tagKey")}>
        {offered.map((each) => (
          <button key={each.key} type="button" aria-pressed={each.key === key} title={t("metric.n", { n: count(each.requests, locale) })} onClick={() => change({ by: `tag:${each.key}` })}>
            {each.key}
          </button>
        ))}
      </div>
      <div className="grid">
        <Cards key={key} rows={clients(`tag:${key}`, "table.tag")} />
      </div>
    </>
  );
}

export default function Clients() {
  const { t } = useSpeech();
  const { search, change } = useView();
  const by = search.by ?? "origin";
  const at = by.indexOf(":");
  const family = at < 0 ? by : by.slice(0, at);
  const label = DIMENSIONS.find(([name]) => name === family)?.[1] ?? "table.origin";
  return (
    <>
      <div className="bar">
        <div className="segments" role="group" aria-label={t("explore.dimension")}>
          {DIMENSIONS.map(([name, key]) => (
            <button key={name} type="button" aria-pressed={family === name} onClick={() => change({ by: name === "origin" ? undefined : name })}>
              {t(key)}
            </button>
          ))}
        </div>
      </div>
      {family === "tag" ? (
        <ByTag chosen={at < 0 ? undefined : by.slice(at + 1)} />
      ) : (
        <div className="grid">
          <Cards key={by} rows={clients(by, label)} />
          <QuotasCard />
        </div>
      )}
    </>
  );
}
