/** Is my box saturated? A server a card: its queue, KV cache and models, beside what the proxy sees of it; then the GPUs. */
import { SERVERS, type ServerShown, type ServersAnswer, useServers } from "../api/servers";
import { count, duration, percent } from "../format/numbers";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { Gpus } from "../parts/gpus";
import { LinesOverTime } from "../parts/over_time";
import { ServerHead } from "../parts/server_head";
import { ServerNeeds } from "../parts/server_needs";
import { Loaded } from "../parts/states";
import "../styles/servers.css";

/** A count between two whole ones is the mean of a bucket. */
const many = (value: number, locale: string) => (Number.isInteger(value) ? count(value, locale) : value.toLocaleString(locale, { maximumFractionDigits: value < 10 ? 1 : 0 }));

interface ChartRow {
  readonly title: Key;
  readonly show: (value: number, locale: string) => string;
  readonly lines: readonly (readonly [name: string, series: string])[];
}

function charts(t: ReturnType<typeof useSpeech>["t"]): ChartRow[] {
  return [
    { title: "nav.requests", show: many, lines: [[t("servers.running"), "running_mean"], [t("servers.waiting"), "waiting_mean"], [t("servers.open"), "open_requests_mean"]] },
    { title: "servers.kvCache", show: percent, lines: [[t("servers.kvCache"), "kv_cache_ratio_mean"], [t("servers.kvCacheMost"), "kv_cache_ratio_max"], [t("servers.prefixCache"), "prefix_cache_ratio"]] },
    { title: "phase.first_token", show: duration, lines: [["p50", "first_token_p50_ms"], ["p95", "first_token_p95_ms"], [t("servers.queue"), "queue_ms"]] },
  ];
}

const WIDTHS = ["", "", "half", "third"] as const;

/** Only what something is known of: a server that tells little takes little room. */
function ServerCharts({ server, times }: { server: ServerShown; times: readonly string[] }) {
  const { t } = useSpeech();
  const { name, series } = server;
  const told = (values: readonly (number | null)[] | undefined) => values?.some((value) => value !== null && value !== 0) === true;
  const rows = charts(t).filter(({ lines }) => lines.some(([, key]) => told(series[key])));
  return rows.map(({ title, show, lines }) => (
    <LinesOverTime key={title} title={`${t(title)} · ${name}`} label={`${t(title)} · ${name}`} className={WIDTHS[rows.length] ?? "third"} source={SERVERS} times={times} show={show} lines={lines.map(([line, key]) => ({ name: line, values: series[key] }))} />
  ));
}

function Answered({ answer }: { answer: ServersAnswer }) {
  const { t } = useSpeech();
  const tells = answer.servers.some(({ now, totals }) => now["running"] !== undefined || totals["running_mean"] != null);
  return (
    <>
      {answer.servers.length === 0 && <p className="note">{t("servers.noServers")}</p>}
      {answer.servers.map((server) => (
        <div key={server.name} className="grid server-group">
          <ServerHead server={server} source={SERVERS} />
          <ServerCharts server={server} times={answer.times} />
        </div>
      ))}
      <div className="grid server-group">
        <Gpus answer={answer} />
        <ServerNeeds open={!tells} />
      </div>
    </>
  );
}

export default function Servers() {
  return <Loaded from={useServers()}>{(answer) => <Answered answer={answer} />}</Loaded>;
}
