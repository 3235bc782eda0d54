/** Who asks: by origin, application, key, user, session, agent, or a tag of one's own. */
import { useState } from "react";

import { useView } from "../app/view";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { Cards } from "../parts/cards";
import { QuotasCard } from "../parts/quotas";
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

export default function Clients() {
  const { t } = useSpeech();
  const { search, change } = useView();
  const by = search.by ?? "origin";
  const [family, tag = ""] = by.split(":", 2);
  const [typed, setTyped] = useState(tag);
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
        {family === "tag" && (
          <form
            className="row"
            onSubmit={(event) => {
              event.preventDefault();
              change({ by: typed === "" ? "tag" : `tag:${typed}` });
            }}
          >
            <input className="select" aria-label={t("table.tag")} placeholder="team" value={typed} onChange={(event) => setTyped(event.target.value)} />
            <button type="submit" className="button">
              {t("range.apply")}
            </button>
          </form>
        )}
      </div>
      {by !== "tag" && (
        <div className="grid">
          <Cards key={by} rows={clients(by, label)} />
          <QuotasCard />
        </div>
      )}
    </>
  );
}
