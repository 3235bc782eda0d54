/** One session: a sentence, figures, its line of time, its agents, where time and money went, and every request. */
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";

import type { Record_ } from "../api/records";
import { cacheWords, type SessionDetail as Detail, type SessionRequest, useOneSession } from "../api/sessions";
import { useView } from "../app/view";
import { count, duration, MISSING, percent, usd } from "../format/numbers";
import { moment } from "../format/times";
import { useSpeech } from "../i18n";
import { Card } from "../parts/card";
import type { RequestColumn } from "../parts/request_columns";
import { RequestTable } from "../parts/request_table";
import { AgentsCard, MoneyCard, TimeCard } from "../parts/session_cards";
import { SessionLine } from "../parts/session_line";
import { SessionTable } from "../parts/session_table";
import { Failed, Loading } from "../parts/states";
import { sessionPath } from "../state/session_path";

const COLUMNS: readonly RequestColumn[] = [
  { name: "timestamp", label: "table.time", widthPx: 148 },
  { name: "agent_id", label: "table.agent", widthPx: 96 },
  { name: "model", label: "table.model", widthPx: 134 },
  { name: "gap_ms", label: "sessions.gap", widthPx: 76, unit: "ms", hidesZero: true },
  { name: "response_time_ms", label: "metric.response_time", widthPx: 96, unit: "ms" },
  { name: "first_token_ms", label: "phase.first_token", widthPx: 96, unit: "ms" },
  { name: "prompt_tokens", label: "sessions.prompt", widthPx: 80, unit: "tokens" },
  { name: "cached_tokens", label: "sessions.cached", widthPx: 80, unit: "tokens" },
  { name: "cache", label: "sessions.cache", widthPx: 104 },
  { name: "completion_tokens", label: "sessions.answer", widthPx: 76, unit: "tokens" },
  { name: "cost_usd", label: "metric.cost", widthPx: 76, unit: "USD" },
  { name: "outcome", label: "table.outcome", widthPx: 96 },
];

function Sentence({ found }: { found: Detail }) {
  const { t, locale } = useSpeech();
  const { session } = found;
  const words = [
    t("sessions.sentence", {
      app: session.app ?? t("sessions.someApp"),
      requests: count(session.requests, locale),
      agents: session.agents,
      time: duration(session.duration_ms, locale),
      tokens: count(session.total_tokens, locale),
    }),
    ...(session.cost_usd === null ? [] : [t("sessions.sentenceCost", { cost: usd(session.cost_usd, locale) })]),
    ...(session.cache_hit_ratio === null ? [] : [t("sessions.sentenceHit", { share: percent(session.cache_hit_ratio, locale) })]),
  ];
  return <p className="lead session-sentence">{words.join(" ")}</p>;
}

function Facts({ found }: { found: Detail }) {
  const { t, locale } = useSpeech();
  const { zone, change } = useView();
  const { session } = found;
  const all = (before: Record<string, unknown>) => ({ tz: before["tz"], range: "all", session_id: session.session_id }) as never;
  return (
    <p className="muted session-facts">
      {session.is_live && (
        <span>
          <span className="dot good" />
          {t("sessions.live")}
        </span>
      )}
      <span>
        {session.first_request === null ? MISSING : moment(session.first_request, locale, zone)} – {session.ended_at === null ? MISSING : moment(session.ended_at, locale, zone)}
      </span>
      {session.user !== null && (
        <span className="name" title={session.user}>
          {session.user}
        </span>
      )}
      {session.models.map((model) => (
        <span key={model} className="name">
          {model}
        </span>
      ))}
      <span className="mono name whole">{session.session_id}</span>
      {found.parent_session_id !== null && (
        <button type="button" className="link" onClick={() => change({ session: found.parent_session_id ?? undefined })}>
          {t("sessions.startedBy", { session: found.parent_session_id })}
        </button>
      )}
      <Link to="/requests" search={all}>
        {t("sessions.allRequests")}
      </Link>
    </p>
  );
}

function Figures({ found }: { found: Detail }) {
  const { t, locale } = useSpeech();
  const { session, time } = found;
  const server = time.waiting_ms + time.first_token_ms + time.generating_ms + time.undivided_ms;
  const rows: readonly (readonly [string, string, string])[] = [
    [t("metric.tokens"), count(session.total_tokens, locale), t("sessions.inAndOut", { input: count(session.prompt_tokens, locale), output: count(session.completion_tokens, locale) })],
    [t("metric.cost"), usd(session.cost_usd, locale), t("sessions.costOf", { n: session.cost_requests, of: session.requests })],
    [t("sessions.hit"), percent(session.cache_hit_ratio, locale), t("sessions.hitOf", { n: session.cache_hit_requests, of: session.requests })],
    [t("nav.requests"), count(session.requests, locale), t("sessions.failed", { n: session.errors })],
    [t("sessions.lasted"), duration(session.duration_ms, locale), t("sessions.serverShare", { share: percent(time.total_ms > 0 ? server / time.total_ms : null, locale) })],
  ];
  return (
    <dl className="figures">
      {rows.map(([label, value, beside]) => (
        <div key={label} className="stat">
          <dt>{label}</dt>
          <dd>
            <div className="value">{value}</div>
            <div className="muted">{beside}</div>
          </dd>
        </div>
      ))}
    </dl>
  );
}

export default function SessionDetail({ id }: { id: string }) {
  const { t, locale } = useSpeech();
  const { change } = useView();
  const pages = useOneSession(id);
  const found = pages.data?.pages[0];
  const requests = useMemo<readonly SessionRequest[]>(() => (pages.data?.pages ?? []).flatMap((page) => page.requests), [pages.data]);
  const agents = useMemo(() => (found?.agents ?? []).map(({ agent_id }) => agent_id), [found]);
  const rows = useMemo(
    () =>
      requests.map((request) => ({
        ...request,
        cache: cacheWords(request, t),
        outcome: request.error_type ?? request.finish_reason,
      })) as unknown as readonly Record_[],
    [requests, t],
  );
  const more = () => {
    if (pages.hasNextPage && !pages.isFetchingNextPage) void pages.fetchNextPage();
  };
  const back = (
    <button type="button" className="link" onClick={() => change({ session: undefined })}>
      ← {t("sessions.back")}
    </button>
  );
  if (found === undefined)
    return (
      <>
        {back}
        {pages.error === null ? <Loading /> : <Failed error={pages.error} retry={() => void pages.refetch()} />}
      </>
    );
  return (
    <>
      {back}
      <Sentence found={found} />
      <Facts found={found} />
      <Figures found={found} />
      {found.counted_requests < found.session.requests && (
        <p className="note">{t("sessions.counted", { n: count(found.counted_requests, locale), of: count(found.session.requests, locale) })}</p>
      )}
      <div className="grid">
        {requests.length > 0 && (
          <Card title={t("sessions.line")} source={sessionPath(id)}>
            <SessionLine requests={requests} agents={agents} />
            {pages.hasNextPage && (
              <p className="muted">
                {t("sessions.drawn", { n: count(requests.length, locale), of: count(found.counted_requests, locale) })}{" "}
                <button type="button" className="link" onClick={more}>
                  {t("sessions.more")}
                </button>
              </p>
            )}
          </Card>
        )}
        <TimeCard found={found} />
        <MoneyCard found={found} />
        {found.agents.length > 1 && <AgentsCard found={found} />}
        {found.children.length > 0 && (
          <Card title={t("sessions.children")}>
            <SessionTable rows={found.children} />
          </Card>
        )}
      </div>
      <div className="session-requests">
        <h2>{t("nav.requests")}</h2>
        <RequestTable rows={rows} columns={COLUMNS} onEnd={more} />
      </div>
    </>
  );
}
