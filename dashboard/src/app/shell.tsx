/** The frame around every view: navigation, language, theme, zone, and the keys that reach them. */
import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useState } from "react";

import { useFetched } from "../api/query";
import { signOut } from "../api/client";
import { type Language, LANGUAGES, useSpeech } from "../i18n";
import { Loading, needsToken } from "../parts/states";
import { type Theme, THEMES } from "../state/search";
import { Filters, LiveSwitch, RangePicker } from "./controls";
import { MigrationNote } from "./health";
import { SignIn } from "./signin";
import { useTheme } from "./theme";
import { useView } from "./view";
import { VIEWS } from "./views";

const Palette = lazy(() => import("./palette"));

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

function Preferences({ version, signedIn }: { version: string; signedIn: boolean }) {
  const { t, language, choose } = useSpeech();
  const theme = useTheme();
  const { zone, change } = useView();
  return (
    <div className="side-foot">
      <label>
        {t("theme.label")}
        <select className="select" value={theme.chosen} onChange={(event) => theme.choose(event.target.value as Theme)}>
          {THEMES.map((each) => (
            <option key={each} value={each}>
              {t(`theme.${each}`)}
            </option>
          ))}
        </select>
      </label>
      <label>
        {t("language.label")}
        <select className="select" value={language} onChange={(event) => choose(event.target.value as Language)}>
          {Object.entries(LANGUAGES).map(([code, name]) => (
            <option key={code} value={code} lang={code}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label>
        {t("zone.label")}
        <select className="select" value={zone} onChange={(event) => change({ tz: event.target.value })}>
          {[...new Set([zone, "UTC", ...Intl.supportedValuesOf("timeZone")])].map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      <span>{version}</span>
      {signedIn && (
        <button type="button" className="button bare" onClick={() => void signOut().then(() => location.reload())}>
          {t("signin.out")}
        </button>
      )}
    </div>
  );
}

export function Shell() {
  const { t } = useSpeech();
  const path = useRouterState({ select: (state) => state.location.pathname });
  const [palette, setPalette] = useState(false);
  const session = useFetched<{ app_version: string; signed_in: boolean }>("/session");
  const current = VIEWS.find((view) => view.path === path);

  useEffect(() => {
    document.title = current === undefined ? t("app.title") : `${t(current.label)} · ${t("app.title")}`;
  }, [current, t]);
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setPalette(true);
      }
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);

  if (needsToken(session.error)) return <SignIn />;
  if (session.data === undefined) return session.error === null ? <Loading /> : <p className="centre">{t("health.down")}</p>;
  return (
    <div className="shell">
      <a className="skip" href="#content">
        {t("nav.skip")}
      </a>
      <nav className="side" aria-label={t("app.title")}>
        <Brand />
        <ul className="nav">
          {VIEWS.map((view) => (
            <li key={view.path}>
              <Link to={view.path} search={(before: Record<string, unknown>) => before as never} aria-current={view.path === path ? "page" : undefined}>
                {t(view.label)}
              </Link>
            </li>
          ))}
        </ul>
        <Preferences version={session.data.app_version} signedIn={session.data.signed_in} />
      </nav>
      <main className="main" id="content" tabIndex={-1}>
        <div className="bar">
          <h1>{t(current?.label ?? "app.title")}</h1>
          <button type="button" className="button bare" onClick={() => setPalette(true)} aria-keyshortcuts="Control+K">
            {t("palette.open")} <kbd>Ctrl K</kbd>
          </button>
          <RangePicker />
          <LiveSwitch />
        </div>
        <Filters />
        <MigrationNote />
        <Suspense fallback={<Loading />}>
          <Outlet />
        </Suspense>
      </main>
      {palette && (
        <Suspense fallback={null}>
          <Palette close={() => setPalette(false)} />
        </Suspense>
      )}
    </div>
  );
}
