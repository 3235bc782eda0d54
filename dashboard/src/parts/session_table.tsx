/** Sessions as a table whose headings sort. */
import type { SessionRow } from "../api/sessions";
import { useView } from "../app/view";
import { columnOf } from "../format/columns";
import { count, MISSING } from "../format/numbers";
import { minuteOf } from "../format/times";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";

interface Heading {
  readonly key: Key;
  /** What the API sorts by, and which way first. */
  readonly order: string;
  readonly number: boolean;
}

const HEADINGS: readonly Heading[] = [
  { key: "table.app", order: "app", number: false },
  { key: "table.user", order: "user", number: false },
  { key: "sessions.last", order: "-last_request", number: false },
  { key: "sessions.lasted", order: "-duration_ms", number: true },
  { key: "sessions.agents", order: "-agents", number: true },
  { key: "nav.requests", order: "-requests", number: true },
  { key: "nav.errors", order: "-errors", number: true },
  { key: "metric.tokens", order: "-total_tokens", number: true },
  { key: "sessions.hit", order: "-cache_hit_ratio", number: true },
  { key: "metric.cost", order: "-cost_usd", number: true },
];

const name = (order: string): string => order.replace(/^-/, "");
const turned = (order: string): string => (order.startsWith("-") ? name(order) : `-${order}`);

interface Props {
  readonly rows: readonly SessionRow[];
  readonly order?: string;
  /** Without it nothing can be sorted. */
  readonly sort?: (order: string) => void;
}

export function SessionTable({ rows, order = "", sort }: Props) {
  const { t, locale } = useSpeech();
  const { change, zone } = useView();
  const alike = (of: (row: SessionRow) => number | null, unit: string) => columnOf(rows.map(of), unit, locale);
  const lasted = alike((row) => row.duration_ms, "ms");
  const tokens = alike((row) => row.total_tokens, "tokens");
  const hit = alike((row) => row.cache_hit_ratio, "ratio");
  const cost = alike((row) => row.cost_usd, "USD");
  const tellsAgents = name(order) === "agents" || rows.some(({ agents }) => agents > 1);
  const most = Math.max(1, ...rows.map((row) => row.total_tokens ?? 0));
  return (
    <div className="scroll table-box sessions-box" tabIndex={0} role="group" aria-label={t("sessions.list")}>
      <table className="sessions">
        <thead>
          <tr>
            <th scope="col">{t("table.session")}</th>
            {HEADINGS.filter(({ order: each }) => tellsAgents || name(each) !== "agents").map(({ key, order: first, number }) => {
              const sorted = name(order) === name(first);
              return (
                <th key={key} scope="col" className={number ? "number" : ""} aria-sort={sorted ? (order.startsWith("-") ? "descending" : "ascending") : undefined}>
                  {sort === undefined ? (
                    t(key)
                  ) : (
                    <button type="button" onClick={() => sort(sorted ? turned(order) : first)}>
                      {t(key)}
                      <span aria-hidden="true">{sorted ? (order.startsWith("-") ? " ↓" : " ↑") : ""}</span>
                    </button>
                  )}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.session_id}>
              <th scope="row">
                <button type="button" className="link mono session-id" title={row.session_id} onClick={() => change({ session: row.session_id })}>
                  {row.session_id}
                </button>
              </th>
              <td>
                <span className="name">{row.app ?? MISSING}</span>
              </td>
              <td>
                <span className="name user" title={row.user ?? ""}>
                  {row.user ?? MISSING}
                </span>
              </td>
              <td className="when">
                {row.is_live && <span className="dot good" role="img" aria-label={t("sessions.live")} title={t("sessions.live")} />}
                {row.last_request === null ? MISSING : minuteOf(row.last_request, locale, zone)}
              </td>
              <td className="number">{lasted(row.duration_ms)}</td>
              {tellsAgents && <td className="number">{count(row.agents, locale)}</td>}
              <td className="number">{count(row.requests, locale)}</td>
              <td className={`number ${row.errors > 0 ? "has-errors" : ""}`}>{count(row.errors, locale)}</td>
              <td className="number weighed">
                {tokens(row.total_tokens)}
                <span className="weight" style={{ width: `${((row.total_tokens ?? 0) / most) * 100}%` }} />
              </td>
              <td className="number">{hit(row.cache_hit_ratio)}</td>
              <td className="number" title={row.cost_requests < row.requests && row.cost_usd !== null ? t("sessions.costOf", { n: row.cost_requests, of: row.requests }) : undefined}>
                {cost(row.cost_usd)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
