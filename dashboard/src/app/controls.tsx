/** Range, filters and the live switch: the bar that stands over every view. */
import { type FormEvent, useRef, useState } from "react";

import { fromWall, moment, span, toWall } from "../format/times";
import { useSpeech } from "../i18n";
import { Menu } from "../parts/menu";
import { instants, RELATIVE } from "../state/range";
import { useView } from "./view";

export function RangePicker() {
  const { t, locale } = useSpeech();
  const { range, zone, nowMs, change } = useView();
  const dialog = useRef<HTMLDialogElement>(null);
  const [wrong, setWrong] = useState(false);
  const now = instants(range, nowMs);

  const apply = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const [start, end] = [fromWall(String(form.get("from")), zone), fromWall(String(form.get("to")), zone)];
    if (start === null || end === null || start >= end) {
      setWrong(true);
      return;
    }
    change({ range: `${start}..${end}` });
    dialog.current?.close();
  };

  const label = range.kind === "fixed" ? span(range.start, range.end, locale, zone) : t(`range.${range.span}`);
  const isFixed = range.kind === "fixed";
  const choose = (
    <>
      {RELATIVE.map((each) => (
        <button key={each} type="button" title={t(`range.${each}`)} aria-pressed={range.kind === "relative" && range.span === each} onClick={() => change({ range: each })}>
          <span aria-hidden="true">{each === "all" ? "∞" : each}</span>
          <span className="visually-hidden">{t(`range.${each}`)}</span>
        </button>
      ))}
      <button type="button" aria-pressed={isFixed} title={isFixed ? t("range.fixed") : undefined} onClick={() => dialog.current?.showModal()}>
        {isFixed ? label : t("range.custom")}
      </button>
    </>
  );
  return (
    <>
      <div className="segments ranges" role="group" aria-label={t("range.label")}>
        {choose}
      </div>
      <div className="range-menu">
        <Menu label={label} name={`${t("range.label")}: ${label}`}>
          {choose}
        </Menu>
      </div>
      <dialog ref={dialog} aria-label={t("range.custom")}>
        <form onSubmit={apply} className="form" key={now.start ?? "open"}>
          <label>
            {t("range.from")}
            <input className="select" name="from" type="datetime-local" required defaultValue={toWall(now.start ?? new Date(nowMs - 86_400_000).toISOString(), zone)} />
          </label>
          <label>
            {t("range.to")}
            <input className="select" name="to" type="datetime-local" required defaultValue={toWall(now.end ?? new Date(nowMs).toISOString(), zone)} />
          </label>
          <p className="muted">{zone}</p>
          {wrong && <p role="alert">{t("range.wrong")}</p>}
          <div className="row">
            <button type="submit" className="button primary">
              {t("range.apply")}
            </button>
            <button type="button" className="button" onClick={() => dialog.current?.close()}>
              {t("request.close")}
            </button>
          </div>
        </form>
      </dialog>
    </>
  );
}

export function LiveSwitch() {
  const { t, locale } = useSpeech();
  const { live, setLive, range, nowMs, zone } = useView();
  if (range.kind === "fixed") return null;
  return (
    <button type="button" className="button live-switch" aria-pressed={live} aria-keyshortcuts="p" title={`${t(live ? "live.pause" : "live.resume")} · ${t("live.updated", { time: moment(nowMs, locale, zone) })}`} onClick={() => setLive(!live)}>
      <span className={`dot ${live ? "good" : ""}`} />
      <span>{t(live ? "live.on" : "live.paused")}</span>
    </button>
  );
}
