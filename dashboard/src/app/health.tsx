/** Whether all is well, in one line; and what else a reader of numbers must know before believing them. */
import { useFetched } from "../api/query";
import { useAlerts } from "../api/watch";
import { count } from "../format/numbers";
import { moment } from "../format/times";
import { useSpeech } from "../i18n";
import { isFiring } from "../state/watched";
import { useView } from "./view";

interface HealthAnswer {
  readonly status: string;
  readonly app_version: string;
  readonly reasons: readonly string[];
}
interface MigrationAnswer {
  readonly phase: string;
  readonly text: string;
  readonly done: number;
  readonly total: number;
  readonly percent: number | null;
  readonly problem: string | null;
}

const EVERY_MS = 5000;

export function HealthLine() {
  const { t } = useSpeech();
  const health = useFetched<HealthAnswer>("/health", {}, EVERY_MS);
  const firing = (useAlerts().data?.alerts ?? []).filter(isFiring);
  const well = health.data?.status === "ok" && health.error === null && firing.length === 0;
  return (
    <div className="health" role="status">
      <span className={`dot ${health.data === undefined ? "" : well ? "good" : "warn"}`} />
      {health.data !== undefined && <strong>{t(health.error !== null ? "health.down" : well ? "health.ok" : "health.degraded")}</strong>}
      <span className="muted">{health.data?.reasons.join(" · ")}</span>
      {firing.length > 0 && (
        <span className="firing">
          {t("alerts.firing")}: <strong className="name">{firing.map(({ name }) => name).join(", ")}</strong>
        </span>
      )}
    </div>
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

const MIGRATING_MS = 1000;
const often = (last: MigrationAnswer | undefined) => (last === undefined || last.phase === "idle" ? EVERY_MS : MIGRATING_MS);

export function MigrationNote() {
  const { t, locale } = useSpeech();
  const now = useFetched<MigrationAnswer>("/api/v1/migrations/current", {}, often);
  const data = now.data;
  if (data === undefined || (data.phase === "idle" && data.problem === null)) return null;
  return (
    <div className={data.problem === null ? "note" : "note bad"} role="status" data-phase={data.phase}>
      {data.problem ?? t("state.migrating", { phase: data.text || data.phase, done: count(data.done, locale), total: count(data.total, locale) })}
      {data.percent !== null && <progress max={100} value={data.percent} aria-label={data.phase} />}
    </div>
  );
}

export function MixedNote({ older }: { older: Readonly<Record<string, number>> }) {
  const { t } = useSpeech();
  const n = Object.values(older).reduce((sum, each) => sum + each, 0);
  return n === 0 ? null : <span className="muted">{t("state.mixed", { count: n })}</span>;
}
