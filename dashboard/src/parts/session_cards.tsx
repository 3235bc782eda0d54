/** Cards of one session: where its time and its money went, and its agents. */
import type { SessionDetail as Detail, SessionUse } from "../api/sessions";
import { count, duration, percent, usd } from "../format/numbers";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { Bars } from "./bars";
import { Card } from "./card";

const TIME: readonly (readonly [keyof Detail["time"], Key, number])[] = [
  ["waiting_ms", "sessions.part.waiting", 7],
  ["first_token_ms", "phase.first_token", 1],
  ["generating_ms", "sessions.part.generating", 0],
  ["undivided_ms", "sessions.part.undivided", 5],
  ["between_ms", "sessions.between", 2],
  ["pauses_ms", "sessions.pauses", 6],
];

const LEAST_SHARE = 0.001;
/** Of a whole: what is next to nothing needs no digits. */
const shareText = (share: number, locale: string): string => (share > 0 && share < LEAST_SHARE ? `< ${percent(LEAST_SHARE, locale)}` : percent(Math.round(share / LEAST_SHARE) * LEAST_SHARE, locale));

export function TimeCard({ found }: { found: Detail }) {
  const { t, locale } = useSpeech();
  const { time } = found;
  const rows = TIME.filter(([name]) => time[name] > 0).map(([name, key, colour]) => {
    const share = time.total_ms > 0 ? time[name] / time.total_ms : 0;
    return { name: t(key), text: `${duration(time[name], locale)} · ${shareText(share, locale)}`, share, colour };
  });
  const table = { head: ["part", "ms"], rows: TIME.map(([name]) => [name, time[name]]) };
  return (
    <Card title={t("sessions.whereTime")} className="half" table={table}>
      <Bars className="session-bars" label={t("sessions.whereTime")} rows={rows} />
      <p className="muted small">{t("sessions.sharedNote")}</p>
    </Card>
  );
}

/** By money where requests have a cost, else by tokens. */
function weighing(parts: readonly SessionUse[]) {
  const cost = parts.reduce((sum, part) => sum + (part.cost_usd ?? 0), 0);
  const tokens = parts.reduce((sum, part) => sum + (part.total_tokens ?? 0), 0);
  return (part: SessionUse): number => (cost > 0 ? (part.cost_usd ?? 0) / cost : tokens > 0 ? (part.total_tokens ?? 0) / tokens : 0);
}

export function MoneyCard({ found }: { found: Detail }) {
  const { t, locale } = useSpeech();
  const weigh = weighing(found.models.map(({ own }) => own));
  const rows = found.models.map(({ model, own }, colour) => ({
    name: model ?? t("table.none"),
    text: `${own.cost_usd === null ? count(own.total_tokens, locale) : usd(own.cost_usd, locale)} · ${shareText(weigh(own), locale)}`,
    share: weigh(own),
    colour,
  }));
  const table = { head: ["model", "requests", "total_tokens", "cost_usd"], rows: found.models.map(({ model, own }) => [model, own.requests, own.total_tokens, own.cost_usd]) };
  return (
    <Card title={t(found.session.cost_usd === null ? "sessions.whereTokens" : "sessions.whereMoney")} className="half" table={table}>
      <Bars className="session-bars" label={t("sessions.whereMoney")} rows={rows} />
      {found.misses.length > 0 && (
        <>
          <h3>{t("sessions.misses")}</h3>
          <ul className="plain-list">
            {found.misses.map((miss) => (
              <li key={miss.reason ?? ""}>
                <span className="name">{miss.reason ?? t("sessions.noReason")}</span>{" "}
                <span className="muted">{t("sessions.missed", { n: miss.requests, tokens: count(miss.uncached_tokens, locale) })}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </Card>
  );
}

const AGENT_HEADS: readonly Key[] = ["nav.requests", "nav.errors", "metric.tokens", "sessions.cached", "metric.cost", "metric.backend_busy"];

export function AgentsCard({ found }: { found: Detail }) {
  const { t, locale } = useSpeech();
  const most = Math.max(1, found.agents[0]?.whole.total_tokens ?? 0);
  const table = {
    head: ["agent_id", "parent_agent_id", "requests", "total_tokens", "cost_usd", "busy_ms"],
    rows: found.agents.map(({ agent_id, parent_agent_id, own }) => [agent_id, parent_agent_id, own.requests, own.total_tokens, own.cost_usd, own.busy_ms]),
  };
  return (
    <Card title={t("sessions.agents")} table={table}>
      <div className="scroll agents-box" tabIndex={0} role="group" aria-label={t("sessions.agents")}>
        <table className="agents">
          <thead>
            <tr>
              <th scope="col">{t("table.agent")}</th>
              {AGENT_HEADS.map((key) => (
                <th key={key} scope="col" className="number">
                  {t(key)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {found.agents.map(({ agent_id, depth, whole }) => (
              <tr key={agent_id ?? ""}>
                <th scope="row" style={{ paddingInlineStart: 10 + Math.min(depth, 8) * 18 }}>
                  <span className={agent_id === null ? "name" : "name mono"} title={agent_id ?? ""}>
                    {agent_id ?? t("sessions.mainAgent")}
                  </span>
                </th>
                <td className="number">{count(whole.requests, locale)}</td>
                <td className={`number ${whole.errors > 0 ? "has-errors" : ""}`}>{count(whole.errors, locale)}</td>
                <td className="number weighed">
                  {count(whole.total_tokens, locale)}
                  <span className="weight" style={{ width: `${((whole.total_tokens ?? 0) / most) * 100}%` }} />
                </td>
                <td className="number">{count(whole.cached_tokens, locale)}</td>
                <td className="number">{usd(whole.cost_usd, locale)}</td>
                <td className="number">{duration(whole.busy_ms, locale)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p className="muted small">{t("sessions.treeNote")}</p>
    </Card>
  );
}
