/** The side of the page: which program this is, its views, what a reader chooses. On a telephone it opens over the page. */
import { Link } from "@tanstack/react-router";
import { type ReactNode, useCallback, useEffect, useRef, useState } from "react";

import { useSpeech } from "../i18n";
import { NAVIGATION } from "./navigation";
import { useSeen } from "./session";

export function Brand() {
  return (
    <div className="brand">
      <svg width="20" height="20" viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="2.2" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
        <path d="M3 12h4l2.5 7 5-14 2.5 7h4" />
      </svg>
      <span>LLM Metrics Proxy</span>
    </div>
  );
}

function Views({ path, onChosen }: { path: string; onChosen: () => void }) {
  const { t } = useSpeech();
  const seen = useSeen();
  return (
    <nav className="nav" aria-label={t("nav.views")}>
      {NAVIGATION.filter(({ views }) => views.some(seen)).map(({ label, views }) => (
        <section key={label ?? ""} {...(label === undefined ? {} : { "aria-label": t(label) })}>
          {label !== undefined && <p aria-hidden="true">{t(label)}</p>}
          <ul>
            {views.filter(seen).map((view) => (
              <li key={view.path}>
                <Link to={view.path} search={(before: Record<string, unknown>) => before as never} aria-current={view.path === path ? "page" : undefined} onClick={onChosen}>
                  {t(view.label)}
                </Link>
              </li>
            ))}
          </ul>
        </section>
      ))}
    </nav>
  );
}

/** Whether the side is open over the page, where there is no room beside it. Escape closes it. */
export function useDrawer() {
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const close = useCallback(() => setOpen(false), []);
  useEffect(() => {
    if (!open) return undefined;
    document.querySelector<HTMLElement>(".side [aria-current=page]")?.focus();
    const opener = button.current;
    const heard = (event: KeyboardEvent) => event.key === "Escape" && setOpen(false);
    addEventListener("keydown", heard);
    return () => {
      removeEventListener("keydown", heard);
      opener?.focus();
    };
  }, [open]);
  return { open, close, show: () => setOpen(true), button };
}
export type Drawer = ReturnType<typeof useDrawer>;

export function DrawerButton({ drawer }: { drawer: Drawer }) {
  const { t } = useSpeech();
  return (
    <button ref={drawer.button} type="button" className="button bare drawer-button" aria-label={t("nav.menu")} aria-expanded={drawer.open} aria-controls="side" onClick={drawer.show}>
      <svg width="20" height="20" viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="2" strokeLinecap="round" aria-hidden="true">
        <path d="M4 7h16M4 12h16M4 17h16" />
      </svg>
    </button>
  );
}

export function Side({ path, drawer, onCommands, children }: { path: string; drawer: Drawer; onCommands: () => void; children: ReactNode }) {
  const { t } = useSpeech();
  return (
    <>
      {drawer.open && <div className="veil" onClick={drawer.close} />}
      <header className={drawer.open ? "side open" : "side"} id="side">
        <Brand />
        <Views path={path} onChosen={drawer.close} />
        <div className="side-foot">
          <button
            type="button"
            className="commands"
            onClick={() => {
              drawer.close();
              onCommands();
            }}
            aria-keyshortcuts="Control+K"
          >
            {t("palette.open")} <kbd>Ctrl K</kbd>
          </button>
          {children}
        </div>
      </header>
    </>
  );
}
