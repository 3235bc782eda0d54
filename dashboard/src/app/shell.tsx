/** The frame around every view: navigation, range and filters, what must be known before numbers are believed. */
import { CatchBoundary, Link, Outlet, useRouterState } from "@tanstack/react-router";
import { lazy, Suspense, useCallback, useEffect, useRef, useState } from "react";

import { address, needsToken } from "../api/client";
import { useSelection } from "../api/query";
import { useSpeech } from "../i18n";
import { Loading } from "../parts/states";
import { Filters, LiveSwitch, RangePicker } from "./controls";
import { Fault } from "./fault";
import { MigrationNote, RenewedNote, StaleNote } from "./health";
import { KeysHelp, useKeys } from "./keys";
import { Preferences } from "./preferences";
import { useSession } from "./session";
import { SignIn } from "./signin";
import { useView } from "./view";
import { VIEWS } from "./views";

const Palette = lazy(() => import("./palette"));
const RequestDetail = lazy(() => import("../views/request_detail"));

function Brand() {
  return (
    <div className="brand">
      <svg width="20" height="20" viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="2.2" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
        <path d="M3 12h4l2.5 7 5-14 2.5 7h4" />
      </svg>
      <span>LLM Metrics Proxy</span>
    </div>
  );
}

function Views({ path }: { path: string }) {
  const { t } = useSpeech();
  return (
    <nav className="nav" aria-label={t("nav.views")}>
      <ul>
        {VIEWS.map((view) => (
          <li key={view.path}>
            <Link to={view.path} search={(before: Record<string, unknown>) => before as never} aria-current={view.path === path ? "page" : undefined}>
              {t(view.label)}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}

/** The same range and filters as a page to print or to send. */
function ReportLink() {
  const { t } = useSpeech();
  const { zone } = useView();
  return (
    <a className="button" href={address("/api/v1/report", { ...useSelection(), timezone: zone })} target="_blank" rel="noreferrer">
      {t("report.open")}
    </a>
  );
}

type DialogKind = "palette" | "help";

/** The one that is open. A browser tells of a dialog's end a little later: by then the next one may be open. */
function useDialog() {
  const [dialog, setDialog] = useState<{ kind: DialogKind; nth: number; close: () => void } | null>(null);
  const count = useRef(0);
  const open = useCallback((kind: DialogKind) => {
    const nth = ++count.current;
    setDialog({ kind, nth, close: () => setDialog((now) => (now?.nth === nth ? null : now)) });
  }, []);
  return { dialog, open };
}

export function Shell() {
  const { t } = useSpeech();
  const { search } = useView();
  const path = useRouterState({ select: (state) => state.location.pathname });
  const { dialog, open } = useDialog();
  const session = useSession();
  const current = VIEWS.find((view) => view.path === path);
  const selects = current?.selects === true;
  useKeys(open);

  useEffect(() => {
    document.title = current === undefined ? t("app.title") : `${t(current.label)} · ${t("app.title")}`;
  }, [current, t]);

  if (needsToken(session.error)) return <SignIn />;
  if (session.data === undefined) return session.error === null ? <Loading /> : <p className="centre">{t("health.down")}</p>;
  return (
    <div className="shell">
      <a className="skip" href="#content">
        {t("nav.skip")}
      </a>
      <header className="side">
        <Brand />
        <Views path={path} />
        <Preferences session={session.data} showKeys={() => open("help")} />
      </header>
      <main className="main" id="content" tabIndex={-1}>
        <div className="bar">
          <h1>{t(current?.label ?? "app.title")}</h1>
          <button type="button" className="button bare" onClick={() => open("palette")} aria-keyshortcuts="Control+K">
            {t("palette.open")} <kbd>Ctrl K</kbd>
          </button>
          {selects && (
            <>
              <ReportLink />
              <LiveSwitch />
              <RangePicker />
            </>
          )}
        </div>
        {selects && <Filters />}
        <StaleNote />
        <RenewedNote loaded={session.data.app_version} />
        <MigrationNote />
        <Suspense fallback={<Loading />}>
          <Outlet />
        </Suspense>
      </main>
      <CatchBoundary getResetKey={() => `${dialog?.nth} ${search.id}`} errorComponent={Fault}>
        <Suspense fallback={null}>
          {dialog?.kind === "palette" && <Palette key={dialog.nth} close={dialog.close} />}
          {dialog?.kind === "help" && <KeysHelp key={dialog.nth} close={dialog.close} />}
          {search.id !== undefined && <RequestDetail key={search.id} id={search.id} />}
        </Suspense>
      </CatchBoundary>
    </div>
  );
}
