/** Sessions: which one used the tokens. A row for each, sorted by anything; one of them opened at its own link. */
import { lazy, Suspense } from "react";

import { DEFAULT_ORDER, type SessionRow, useSessions } from "../api/sessions";
import { useView } from "../app/view";
import { useSpeech } from "../i18n";
import { Card } from "../parts/card";
import { Failed, Loading } from "../parts/states";
import { SessionTable } from "../parts/session_table";

const SessionDetail = lazy(() => import("./session_detail"));

const BY_THEMSELVES = ["Claude Code", "Codex", "OpenCode", "pi", "Open WebUI"] as const;

/** How sessions come into being: nobody has to guess which header to send. */
function NoSessions() {
  const { t } = useSpeech();
  return (
    <Card title={t("sessions.none")} className="sessions-none">
      <p>{t("sessions.noneWhy")}</p>
      <h3>{t("sessions.byThemselves")}</h3>
      <ul className="plain-list">
        {BY_THEMSELVES.map((name) => (
          <li key={name}>{name}</li>
        ))}
      </ul>
      <h3>{t("sessions.byHeader")}</h3>
      <p>{t("sessions.byHeaderHow")}</p>
      <pre>x-llm-metrics-session: my-session-1</pre>
      <p className="muted">{t("sessions.byBody")}</p>
    </Card>
  );
}

function Listed() {
  const { t } = useSpeech();
  const { search, change } = useView();
  const order = search.sort ?? DEFAULT_ORDER;
  const pages = useSessions(order);
  const rows: readonly SessionRow[] = (pages.data?.pages ?? []).flatMap((page) => page.items);
  if (pages.data === undefined) return pages.error === null ? <Loading /> : <Failed error={pages.error} retry={() => void pages.refetch()} />;
  if (rows.length === 0) return <NoSessions />;
  return (
    <Card title={t("sessions.list")} source="/api/v1/sessions">
      <SessionTable rows={rows} order={order} sort={(sort) => change({ sort: sort === DEFAULT_ORDER ? undefined : sort })} />
      {pages.hasNextPage && (
        <p>
          <button type="button" className="button" disabled={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
            {t("sessions.more")}
          </button>
        </p>
      )}
    </Card>
  );
}

export default function Sessions() {
  const { search } = useView();
  if (search.session === undefined) return <Listed />;
  return (
    <Suspense fallback={<Loading />}>
      <SessionDetail key={search.session} id={search.session} />
    </Suspense>
  );
}
