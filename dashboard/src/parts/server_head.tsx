/** One server in a card: whether it is saturated and by what, its numbers of now, and the models in its memory. */
import type { ServerShown } from "../api/servers";
import { useView } from "../app/view";
import { bytes, count, duration, percent, speed } from "../format/numbers";
import { moment } from "../format/times";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { Card } from "./card";

type Reason = ServerShown["verdict"]["reasons"][number];
type Fact = readonly [label: string, value: string, beside?: string | undefined];

const TONES: Readonly<Record<string, string>> = { saturated: "bad", at_times: "warn", free: "good", unknown: "muted" };
const NOT_WELL: ReadonlySet<string> = new Set(["silent", "wants_key"]);

/** How the most of a reason is said. */
const MOST: Readonly<Record<string, (value: number | null, locale: string) => string>> = { kv_cache: percent, queue: duration };

function useReason() {
  const { t, locale } = useSpeech();
  return ({ code, level, share, most }: Reason) => {
    if (level === "free" && code === "preemptions") return null;
    const key = `servers.${level === "free" ? "free" : "by"}.${code}` as Key;
    return t(key, { share: percent(share, locale), most: (MOST[code] ?? count)(most, locale) });
  };
}

function facts({ now, totals }: ServerShown, t: ReturnType<typeof useSpeech>["t"], locale: string): Fact[] {
  const found: (Fact | null)[] = [
    now["running"] === undefined ? null : [t("servers.running"), count(now["running"], locale), now["slots"] === undefined ? undefined : t("servers.slots", { n: count(now["slots"], locale) })],
    now["waiting"] === undefined ? null : [t("servers.waiting"), count(now["waiting"], locale)],
    now["kv_cache_ratio"] === undefined ? null : [t("servers.kvCache"), percent(now["kv_cache_ratio"], locale)],
    now["open_requests"] === undefined ? null : [t("servers.open"), count(now["open_requests"], locale)],
    totals["busy_share"] == null ? null : [t("servers.busy"), percent(totals["busy_share"], locale)],
    totals["first_token_p50_ms"] == null ? null : [t("phase.first_token"), duration(totals["first_token_p50_ms"], locale), `p95 ${duration(totals["first_token_p95_ms"], locale)}`],
    (totals["queue_ms"] ?? totals["seen_queue_ms"]) == null ? null : [t("servers.queue"), duration(totals["queue_ms"] ?? totals["seen_queue_ms"], locale)],
    totals["generation_tokens_per_second"] == null ? null : [t("servers.speed"), speed(totals["generation_tokens_per_second"], locale)],
    totals["prefix_cache_ratio"] == null ? null : [t("servers.prefixCache"), percent(totals["prefix_cache_ratio"], locale)],
  ];
  return found.filter((fact) => fact !== null);
}

function Models({ server }: { server: ServerShown }) {
  const { t, locale } = useSpeech();
  const { zone } = useView();
  if (server.now["models_loaded"] === 0) return <p className="muted">{t("servers.noModels")}</p>;
  if (server.models.length === 0) return null;
  return (
    <ul className="loaded" aria-label={t("servers.models")}>
      {server.models.map(({ name, size_bytes, vram_bytes, context_tokens, expires_at }) => {
        const until = expires_at === null ? Number.NaN : Date.parse(expires_at);
        const said = [
          vram_bytes === null ? size_bytes !== null && bytes(size_bytes, locale) : `${bytes(vram_bytes, locale)} VRAM${size_bytes === null || size_bytes === 0 ? "" : ` (${percent(vram_bytes / size_bytes, locale)})`}`,
          context_tokens !== null && `${context_tokens.toLocaleString(locale)} ctx`,
          Number.isFinite(until) && until < Date.now() + 86_400_000 * 30 && t("servers.untilExpiry", { time: moment(expires_at ?? "", locale, zone) }),
        ];
        return (
          <li key={name}>
            <span className="name">{name}</span> <span className="muted">{said.filter(Boolean).join(" · ")}</span>
          </li>
        );
      })}
    </ul>
  );
}

export function ServerHead({ server, source }: { server: ServerShown; source: string }) {
  const { t, locale } = useSpeech();
  const reason = useReason();
  const { verdict, state, program, advice } = server;
  const said = verdict.reasons.map(reason).filter((text) => text !== null);
  return (
    <Card title={server.name} className="server" source={source} tools={<span className={NOT_WELL.has(state) ? "said bad" : "said muted"}>{[program, t(`servers.state.${state}` as Key)].filter(Boolean).join(" · ")}</span>}>
      <p className="verdict">
        <strong className={`level ${TONES[verdict.level] ?? "muted"}`}>{t(`servers.level.${verdict.level}` as Key)}</strong> {verdict.level === "unknown" ? t("servers.unknown") : said.join(" ")}
      </p>
      {advice !== null && <p className="muted">{t(`servers.advice.${advice}` as Key)}</p>}
      <dl className="facts-in-line">
        {facts(server, t, locale).map(([label, value, beside]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>
              {value} {beside !== undefined && <span className="beside">{beside}</span>}
            </dd>
          </div>
        ))}
      </dl>
      <Models server={server} />
    </Card>
  );
}
