/** The keys of the page, and the dialog that tells of them. */
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";

import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { pressed } from "../state/keys";
import { IN_ORDER } from "./navigation";
import { useView } from "./view";

const KEPT = "single-keys";
const WAITS_MS = 1500;

export function singleKeys(): boolean {
  return localStorage.getItem(KEPT) !== "off";
}

const FIELDS = "input:not([type=checkbox]), select, textarea";

/** A field of a dialog that was closed just now has the keys until the browser draws again; they are not meant for it. */
function isElsewhere(target: EventTarget | null): boolean {
  if (document.querySelector("dialog[open]") !== null) return true;
  const field = target instanceof HTMLElement ? target.closest(FIELDS) : null;
  return field !== null && field.closest("dialog:not([open])") === null;
}

export function useKeys(open: (dialog: "palette" | "help") => void): void {
  const navigate = useNavigate();
  const { live, setLive } = useView();
  const before = useRef<{ key: string; at: number } | null>(null);
  useEffect(() => {
    const heard = (event: KeyboardEvent) => {
      const waiting = before.current !== null && event.timeStamp - before.current.at < WAITS_MS ? before.current.key : null;
      const given = { key: event.key, ctrl: event.ctrlKey || event.metaKey, alt: event.altKey, elsewhere: isElsewhere(event.target) };
      const { act, waits } = pressed(given, waiting, singleKeys());
      before.current = waits === null ? null : { key: waits, at: event.timeStamp };
      if (act === null) return;
      event.preventDefault();
      if (act.kind === "palette" || act.kind === "help") open(act.kind);
      else if (act.kind === "live") setLive(!live);
      else if (act.kind === "filter") document.getElementById("add-filter")?.click();
      else if (act.kind === "go") {
        const view = IN_ORDER.find(({ shortcut }) => shortcut === act.letter);
        if (view !== undefined) void navigate({ to: view.path, search: (words: Record<string, unknown>) => words as never });
      }
    };
    addEventListener("keydown", heard);
    return () => removeEventListener("keydown", heard);
  }, [navigate, live, setLive, open]);
}

const OTHERS: readonly (readonly [readonly string[], Key])[] = [
  [["Ctrl", "K"], "palette.open"],
  [["/"], "filter.add"],
  [["p"], "keys.live"],
  [["?"], "keys.title"],
];

export function KeysHelp({ close }: { close: () => void }) {
  const { t } = useSpeech();
  const dialog = useRef<HTMLDialogElement>(null);
  const [single, setSingle] = useState(singleKeys);
  useEffect(() => dialog.current?.showModal(), []);
  const rows = [...IN_ORDER.map(({ shortcut, label }) => [["g", shortcut], label] as const), ...OTHERS];
  return (
    <dialog ref={dialog} aria-label={t("keys.title")} onClose={close}>
      <h2>{t("keys.title")}</h2>
      <dl className="keys">
        {rows.map(([keys, label]) => (
          <div key={label} className="pair">
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{t(label)}</dd>
          </div>
        ))}
      </dl>
      <div className="form">
        <label className="check">
          <input
            type="checkbox"
            checked={single}
            onChange={(event) => {
              localStorage.setItem(KEPT, event.target.checked ? "on" : "off");
              setSingle(event.target.checked);
            }}
          />{" "}
          {t("keys.single")}
        </label>
        <button type="button" className="button" onClick={() => dialog.current?.close()}>
          {t("request.close")}
        </button>
      </div>
    </dialog>
  );
}
