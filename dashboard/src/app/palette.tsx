/** Everything by typing: views, ranges, themes, languages. */
import { useNavigate } from "@tanstack/react-router";
import { Command } from "cmdk";
import { useEffect, useRef } from "react";

import { type Language, LANGUAGES, useSpeech } from "../i18n";
import { RELATIVE } from "../state/range";
import { THEMES } from "../state/search";
import { IN_ORDER } from "./navigation";
import { useSeen } from "./session";
import { useTheme } from "./theme";
import { useView } from "./view";

export default function Palette({ close, connect }: { close: () => void; connect: () => void }) {
  const { t, choose } = useSpeech();
  const dialog = useRef<HTMLDialogElement>(null);
  const theme = useTheme();
  const seen = useSeen();
  const navigate = useNavigate();
  const { change, live, setLive } = useView();
  const run = (act: () => void) => () => {
    close();
    act();
  };
  // the browser's own dialog: it holds the focus, closes by Escape, and needs no style that the page's policy forbids
  useEffect(() => {
    dialog.current?.showModal();
    dialog.current?.querySelector("input")?.focus();
  }, []);
  return (
    <dialog ref={dialog} className="palette" aria-label={t("palette.open")} onClose={close} onClick={(event) => event.target === event.currentTarget && close()}>
      <Command label={t("palette.open")}>
        <Command.Input placeholder={t("palette.search")} />
        <Command.List>
          <Command.Empty>{t("palette.none")}</Command.Empty>
          {IN_ORDER.filter(seen).map((view) => (
            <Command.Item key={view.path} onSelect={run(() => void navigate({ to: view.path, search: (before: Record<string, unknown>) => before as never }))}>
              {t(view.label)}
            </Command.Item>
          ))}
          <Command.Item onSelect={run(connect)}>{t("connect.title")}</Command.Item>
          <Command.Item onSelect={run(() => setLive(!live))}>{t(live ? "live.pause" : "live.resume")}</Command.Item>
          {RELATIVE.map((span) => (
            <Command.Item key={span} onSelect={run(() => change({ range: span }))}>
              {t("range.label")}: {t(`range.${span}`)}
            </Command.Item>
          ))}
          {THEMES.map((each) => (
            <Command.Item key={each} onSelect={run(() => theme.choose(each))}>
              {t("theme.label")}: {t(`theme.${each}`)}
            </Command.Item>
          ))}
          {Object.entries(LANGUAGES).map(([code, name]) => (
            <Command.Item key={code} onSelect={run(() => choose(code as Language))}>
              {t("language.label")}: {name}
            </Command.Item>
          ))}
        </Command.List>
      </Command>
    </dialog>
  );
}
