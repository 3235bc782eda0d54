/** Whether all is well, in one line; and what else a reader of numbers must know before believing them. */
import { Link } from "@tanstack/react-router";
import { useState } from "react";

import { useFetched } from "../api/query";
import { useAlerts, useSlos } from "../api/watch";
import { count } from "../format/numbers";
import { moment } from "../format/times";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { attention } from "../state/watched";
import { Reload } from "./fault";
import { useScope } from "./session";
import { useView } from "./view";

interface HealthAnswer {
  readonly status: string;
  readonly app_version: string;
  readonly reasons: readonly string[];
  readonly migration: { readonly phase: string; readonly blocks_data: boolean } | null;
}
interface MigrationAnswer {
  readonly phase: string;
  readonly text: string;
  readonly done: number;
  readonly total: number;
  readonly percent: number | null;
  readonly problem: string | null;
  readonly history: { readonly carried: number; readonly records: number; readonly complete_from: string | null; readonly stopped: string | null } | null;
}

const EVERY_MS = 5000;

const REASONS = [
  ["missed", "slos.missed"],
  ["firing", "alerts.firing"],
  ["unmeasured", "slos.unknown"],
] as const;

/** The worst of what the program says of itself, of the objectives and of the alerts; well only where all three are. */
function useStanding() {
  const [health, slos, alerts] = [useFetched<HealthAnswer>("/health", {}, EVERY_MS), useSlos(), useAlerts()];
  const found = attention(slos.data?.slos ?? [], alerts.data?.alerts ?? []);
  const bad = found.missed.length + found.firing.length > 0;
  const unwell = bad || found.unmeasured.length > 0 || health.data?.status !== "ok" || slos.error !== null || alerts.error !== null;
  const known = useScope() !== null || (slos.data !== undefined && alerts.data !== undefined && !found.waiting);
  const [text, tone]: readonly [Key, string] =
    health.error !== null ? ["health.down", "bad"] : unwell ? ["health.degraded", bad ? "bad" : "warn"] : known ? ["health.ok", "good"] : ["state.loading", ""];
  const reasons = [...(health.data?.reasons ?? []), ...[slos.error, alerts.error].flatMap((error) => (error === null || health.error !== null || health.data?.migration?.blocks_data === true ? [] : [error.message]))];
  return { health, found, text, tone, reasons };
}

export function HealthLine() {
  const { t } = useSpeech();
  const { health, found, text, tone, reasons } = useStanding();
  return (
    <div className="health" role="status">
      <span>
        <span className={`dot ${health.data === undefined ? "" : tone}`} />
        {health.data !== undefined && <strong>{t(text)}</strong>} <span className="muted">{reasons.join(" · ")}</span>
      </span>
      {REASONS.map(
        ([reason, key]) =>
          found[reason].length > 0 && (
            <Link key={reason} className={reason === "unmeasured" ? "reason" : "reason bad"} to="/settings" search={(before: Record<string, unknown>) => before as never}>
              {t(key)}: <strong className="name">{found[reason].join(", ")}</strong>
            </Link>
          ),
      )}
    </div>
  );
}

/** In every view: whose numbers these are, where they are not everybody's. */
export function ScopeNote() {
  const { t } = useSpeech();
  const scope = useScope();
  if (scope === null) return null;
  return (
    <p className="scope-note">
      {t("scope.note", { scope: scope.conditions.join(", ") })}
    </p>
  );
}

/** In every view: numbers that stay on the page when nothing answers any more are old, and say so. */
export function StaleNote() {
  const { t, locale } = useSpeech();
  const { zone } = useView();
  const health = useFetched<HealthAnswer>("/health", {}, EVERY_MS);
  if (health.error === null) return null;
  return (
    <div className="note bad" role="alert">
      {t("state.stale", { time: health.dataUpdatedAt === 0 ? "–" : moment(health.dataUpdatedAt, locale, zone) })}
    </div>
  );
}

/** `loaded`: the version that answered when the page was loaded. Another one may mean other things by the same names. */
export function RenewedNote({ loaded }: { loaded: string }) {
  const { t } = useSpeech();
  const [first] = useState(loaded);
  const now = useFetched<HealthAnswer>("/health", {}, EVERY_MS).data?.app_version ?? first;
  if (now === first) return null;
  return (
    <div className="note row" role="status">
      {t("fault.version", { version: now, before: first })} <Reload />
    </div>
  );
}

const MIGRATING_MS = 1000;
const IDLE_MS = 15_000; // health says when a migration begins; a session that ended shows by then

/** While history is incomplete: what is in the numbers of this page, and from when on nothing is missing. */
function useHistoryWords(history: MigrationAnswer["history"]) {
  const { t, locale } = useSpeech();
  const { zone } = useView();
  if (history === null) return null;
  const missing = count(history.records - history.carried, locale);
  if (history.stopped !== null) return t("state.historyStopped", { missing, why: history.stopped });
  const carried = { carried: count(history.carried, locale), records: count(history.records, locale) };
  if (history.complete_from === null) return t("state.history", carried);
  return t("state.historyFrom", { ...carried, time: moment(history.complete_from, locale, zone) });
}

export function MigrationNote() {
  const { t, locale } = useSpeech();
  const begun = (useFetched<HealthAnswer>("/health", {}, EVERY_MS).data?.migration?.phase ?? "idle") !== "idle";
  const now = useFetched<MigrationAnswer>("/api/v1/migrations/current", {}, (last) => (begun || (last !== undefined && last.phase !== "idle") ? MIGRATING_MS : IDLE_MS));
  const data = now.data;
  const history = useHistoryWords(data?.history ?? null);
  if (data === undefined || (data.phase === "idle" && data.problem === null && history === null)) return null;
  const isBad = data.problem !== null || (data.history?.stopped ?? null) !== null;
  const doing = data.phase === "idle" ? null : t("state.migrating", { phase: data.text || data.phase, done: count(data.done, locale), total: count(data.total, locale) });
  return (
    <div className={isBad ? "note bad" : "note"} role="status" data-phase={data.phase}>
      {[history, data.problem ?? doing].filter((words) => words !== null).map((words) => (
        <p key={words}>{words}</p>
      ))}
      {data.percent !== null && <progress max={100} value={data.percent} aria-label={data.phase} />}
    </div>
  );
}
