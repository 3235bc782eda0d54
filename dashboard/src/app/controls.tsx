/** Range, filters and the live switch: the bar that stands over every view. */
import { type FormEvent, useRef, useState } from "react";

import { FILTERS } from "../api/columns";
import { useFetched } from "../api/query";
import { fromWall, moment, toWall } from "../format/times";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { instants, RELATIVE } from "../state/range";
import { FILTER_NAMES, type FilterName, filtersOf } from "../state/search";
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

  return (
    <>
      <div className="segments" role="group" aria-label={t("range.label")}>
        {RELATIVE.map((span) => (
          <button key={span} type="button" title={t(`range.${span}`)} aria-pressed={range.kind === "relative" && range.span === span} onClick={() => change({ range: span })}>
            {span === "all" ? "∞" : span}
            <span className="visually-hidden"> {t(`range.${span}`)}</span>
          </button>
        ))}
        <button type="button" aria-pressed={range.kind === "fixed"} onClick={() => dialog.current?.showModal()}>
          {range.kind === "fixed" ? `${moment(range.start, locale, zone)} – ${moment(range.end, locale, zone)}` : t("range.custom")}
        </button>
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

const LABELS: ReadonlyMap<string, Key | undefined> = new Map(FILTERS.map((filter: { name: string; label?: Key }) => [filter.name, filter.label]));

export function useFilterLabel(): (name: string) => string {
  const { t } = useSpeech();
  return (name) => {
    const key = LABELS.get(name);
    return key === undefined ? name : t(key);
  };
}

/** Values that there are for a field, from the range that is shown. */
function Offered({ field, id }: { field: FilterName; id: string }) {
  const { range, nowMs } = useView();
  const dimension = field === "tag" ? undefined : field;
  const answer = useFetched<{ rows: { key: Record<string, unknown> }[] }>("/api/v1/query", {
    ...instants(range, nowMs),
    metrics: "requests",
    group_by: dimension ?? "model",
    order: "-requests",
    limit: 100,
  });
  return (
    <datalist id={id}>
      {dimension !== undefined &&
        answer.data?.rows.map((row) => {
          const value = row.key[dimension];
          return value === null || value === undefined ? null : <option key={String(value)} value={String(value)} />;
        })}
    </datalist>
  );
}

export function Filters() {
  const { t } = useSpeech();
  const { search, change } = useView();
  const label = useFilterLabel();
  const [open, setOpen] = useState(false);
  const [field, setField] = useState<FilterName>("model");
  const chosen = Object.entries(filtersOf(search)) as [FilterName, string][];

  const add = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const value = String(new FormData(event.currentTarget).get("value")).trim();
    if (value !== "") change({ [field]: value });
    setOpen(false);
  };

  return (
    <div className="chips">
      {chosen.map(([name, value]) => (
        <span className="chip" key={name}>
          {label(name)}
          <b title={value}>{value}</b>
          <button type="button" aria-label={t("filter.remove", { name: label(name), value })} onClick={() => change({ [name]: undefined })}>
            ×
          </button>
        </span>
      ))}
      {open ? (
        <form className="row" onSubmit={add}>
          <select className="select" aria-label={t("filter.field")} value={field} onChange={(event) => setField(event.target.value as FilterName)}>
            {FILTER_NAMES.map((name) => (
              <option key={name} value={name}>
                {label(name)}
              </option>
            ))}
          </select>
          <input className="select" name="value" list="filter-values" aria-label={t("filter.value")} placeholder={field === "tag" ? "k=v" : ""} autoFocus autoComplete="off" />
          <Offered field={field} id="filter-values" />
          <button type="submit" className="button primary">
            {t("range.apply")}
          </button>
          <button type="button" className="button bare" onClick={() => setOpen(false)}>
            {t("request.close")}
          </button>
        </form>
      ) : (
        <button type="button" id="add-filter" className="button bare" aria-keyshortcuts="/" onClick={() => setOpen(true)}>
          + {t("filter.add")}
        </button>
      )}
      {chosen.length > 1 && (
        <button type="button" className="button bare" onClick={() => change(Object.fromEntries(chosen.map(([name]) => [name, undefined])))}>
          {t("filter.clear")}
        </button>
      )}
    </div>
  );
}

export function LiveSwitch() {
  const { t, locale } = useSpeech();
  const { live, setLive, range, nowMs, zone } = useView();
  if (range.kind === "fixed") return null;
  return (
    <button type="button" className="button" aria-pressed={live} aria-keyshortcuts="p" title={`${t(live ? "live.pause" : "live.resume")} · ${t("live.updated", { time: moment(nowMs, locale, zone) })}`} onClick={() => setLive(!live)}>
      <span className={`dot ${live ? "good" : ""}`} />
      {t(live ? "live.on" : "live.paused")}
    </button>
  );
}
