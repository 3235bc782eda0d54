/** The frame around every view: navigation, range and filters, what must be known before numbers are believed. */
import { CatchBoundary, Outlet, useRouterState } from "@tanstack/react-router";
import { lazy, type ReactNode, Suspense, useCallback, useEffect, useRef, useState } from "react";

import { address, needsToken } from "../api/client";
import { useSelection } from "../api/query";
import { useSpeech } from "../i18n";
import { Menu } from "../parts/menu";
import { FirstRangeNote, SimulatedNote } from "../parts/welcome";
import { Loading } from "../parts/states";
import { useFirstRange } from "./beginning";
import { BucketChoice } from "./bucket";
import { LiveSwitch, RangePicker } from "./controls";
import { Filters } from "./filters";
import { Fault } from "./fault";
import { DrawerButton, Side, useDrawer } from "./frame";
import { MigrationNote, RenewedNote, ScopeNote, StaleNote } from "./health";
import { KeysHelp, useKeys } from "./keys";
import { useNarrow } from "./media";
import { Preferences } from "./preferences";
import { useSession } from "./session";
import { SignIn } from "./signin";
import { useView } from "./view";
import { VIEWS } from "./views";

const ConnectDialog = lazy(() => import("../parts/connect"));
const Palette = lazy(() => import("./palette"));
const RequestDetail = lazy(() => import("../views/request_detail"));
const Wall = lazy(() => import("../views/wall"));

/** What else there is of the same range and filters: a page to print or to send, and one for a screen on the wall. */
function More({ onConnect, children }: { onConnect: () => void; children: ReactNode }) {
  const { t } = useSpeech();
  const { zone, change } = useView();
  const report = address("/api/v1/report", { ...useSelection(), timezone: zone });
  return (
    <>
      <a className="button wide-only" href={report} target="_blank" rel="noreferrer">
        {t("report.open")}
      </a>
      <Menu label="⋯" name={t("nav.more")} bare>
        <a className="button bare narrow-only" href={report} target="_blank" rel="noreferrer">
          {t("report.open")}
        </a>
        <button type="button" className="button bare" onClick={() => change({ kiosk: true })}>
          {t("kiosk.title")}
        </button>
        {children}
        <button type="button" className="button bare" onClick={onConnect}>
          {t("connect.title")}
        </button>
      </Menu>
    </>
  );
}

type DialogKind = "palette" | "help" | "connect";

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
  const drawer = useDrawer();
  const narrow = useNarrow();
  const current = VIEWS.find((view) => view.path === path);
  const selects = current?.selects === true;
  useKeys(open);
  const first = useFirstRange(session.data !== undefined);

  useEffect(() => {
    document.title = current === undefined ? t("app.title") : `${t(current.label)} · ${t("app.title")}`;
  }, [current, t]);

  if (needsToken(session.error)) return <SignIn />;
  if (session.data === undefined) return session.error === null ? <Loading /> : <p className="centre">{t("health.down")}</p>;
  if (!first.ready) return <Loading />;
  if (search.kiosk === true) return <Suspense fallback={<Loading />}><Wall version={session.data.app_version} /></Suspense>;
  return (
    <div className="shell">
      <a className="skip" href="#content">
        {t("nav.skip")}
      </a>
      <Side path={path} drawer={drawer} onCommands={() => open("palette")}>
        <Preferences session={session.data} showKeys={() => open("help")} />
      </Side>
      <main className="main" id="content" tabIndex={-1} inert={drawer.open}>
        <div className="bar head">
          <DrawerButton drawer={drawer} />
          <h1>{t(current?.label ?? "app.title")}</h1>
          {selects && (
            <>
              {current?.unfiltered !== true && <Filters />}
              <LiveSwitch />
              {!narrow && <BucketChoice path={path} />}
              <RangePicker />
              <More onConnect={() => open("connect")}>{narrow && <BucketChoice path={path} />}</More>
            </>
          )}
        </div>
        <SimulatedNote />
        {selects && <FirstRangeNote chosen={first.chosen} />}
        <ScopeNote />
        <StaleNote />
        <RenewedNote loaded={session.data.app_version} />
        <MigrationNote />
        <Suspense fallback={<Loading />}>
          <Outlet />
        </Suspense>
      </main>
      <CatchBoundary getResetKey={() => `${dialog?.nth} ${search.id}`} errorComponent={Fault}>
        <Suspense fallback={null}>
          {dialog?.kind === "palette" && <Palette key={dialog.nth} close={dialog.close} connect={() => open("connect")} />}
          {dialog?.kind === "connect" && <ConnectDialog key={dialog.nth} close={dialog.close} />}
          {dialog?.kind === "help" && <KeysHelp key={dialog.nth} close={dialog.close} />}
          {search.id !== undefined && <RequestDetail key={search.id} id={search.id} />}
        </Suspense>
      </CatchBoundary>
    </div>
  );
}
