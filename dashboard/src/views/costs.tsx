/** What it costs: this month and at its end, the months before, the same work on this and that, and what caches save. */
import { type Costs, useCosts } from "../api/costs";
import type { Cell } from "../api/query";
import { useView } from "../app/view";
import { columnOf } from "../format/columns";
import { count, percent, usd } from "../format/numbers";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { Card } from "../parts/card";
import { Comparison } from "../parts/comparison";
import { MonthBars } from "../parts/month_bars";
import { valueName } from "../parts/names";
import { isNone, sparkline, Tile } from "../parts/stat";
import { Loaded } from "../parts/states";
import { YearCard } from "../parts/year_map";
import { COSTS, ESTIMATED } from "./cards";

const DIMENSIONS: readonly (readonly [string, Key])[] = [
  ["model", "table.model"],
  ["backend_name", "table.backend"],
  ["app", "table.app"],
  ["user", "table.user"],
  ["api_key_id", "table.key"],
  ["origin", "table.origin"],
];
const MACHINE = `[[prices]]
model = "*"
backend = "my-box"
usd_per_hour = 0.40`;
const TOKENS = `[[prices]]
model = "llama*"
input_usd_per_mtok = 0.10
output_usd_per_mtok = 0.40`;

const about = (values: Readonly<Record<string, Cell>>) => ((values[ESTIMATED]?.value ?? 0) === 0 ? "" : "≈ ");

function Tiles({ costs }: { costs: Costs }) {
  const { t, locale } = useSpeech();
  const { month, projection, months, total } = costs;
  const course = (name: string) => months.map(({ values }) => values[name]?.value ?? null);
  // tiles of a row are alike: each keeps room for a course of months, or none does
  const drawn = ["cost_usd", "cache_hit_ratio", "cache_savings_usd"].some((name) => sparkline(course(name)).length > 0);
  const of = (name: string) => (drawn ? course(name) : undefined);
  const priced = (values: Readonly<Record<string, Cell>>, name: string) => t("sessions.costOf", { n: count(values[name]?.n ?? 0, locale), of: count(values["requests"]?.n ?? 0, locale) });
  const hits = total["cache_hit_ratio"];
  const saved = total["cache_savings_usd"];
  const days = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 }).format(projection.basis_days);
  return (
    <dl className="stats costs">
      <Tile label={t("costs.thisMonth")} value={`${about(month.values)}${usd(month.values["cost_usd"]?.value, locale)}`} beside={priced(month.values, "cost_usd")} trend={of("cost_usd")} />
      <Tile
        label={t("costs.projection")}
        value={projection.cost_usd === null ? "–" : `≈ ${usd(projection.cost_usd, locale)}`}
        beside={projection.cost_usd === null ? t("costs.noBasis") : t("costs.basis", { days })}
        trend={drawn ? [] : undefined}
      />
      <Tile label={t("metric.cache_hit_ratio")} value={percent(hits?.value, locale)} none={isNone(hits)} beside={t("metric.n", { n: count(hits?.n ?? 0, locale) })} trend={of("cache_hit_ratio")} />
      <Tile label={t("metric.cache_savings")} value={usd(saved?.value, locale)} none={isNone(saved)} beside={t("metric.n", { n: count(saved?.n ?? 0, locale) })} trend={of("cache_savings_usd")} />
    </dl>
  );
}

function NoPrices() {
  const { t } = useSpeech();
  return (
    <section className="card no-prices">
      <h2>{t("costs.emptyTitle")}</h2>
      <p>{t("costs.emptyText")}</p>
      <div>
        <pre>{MACHINE}</pre>
        <pre>{TOKENS}</pre>
      </div>
    </section>
  );
}

function Cache({ costs }: { costs: Costs }) {
  const { t, locale } = useSpeech();
  const { total, misses } = costs;
  const tokens = columnOf([total["cached_tokens"]?.value, total["cache_write_tokens"]?.value, total["cache_prompt_tokens"]?.value], "tokens", locale);
  const missed = columnOf(misses.map((row) => row.values["cache_missed_tokens"]?.value), "tokens", locale);
  const facts: readonly (readonly [Key, string])[] = [
    ["metric.prompt_tokens", tokens(total["cache_prompt_tokens"]?.value)],
    ["costs.cacheRead", tokens(total["cached_tokens"]?.value)],
    ["costs.cacheWritten", tokens(total["cache_write_tokens"]?.value)],
    ["metric.cache_hit_ratio", percent(total["cache_hit_ratio"]?.value, locale)],
    ["metric.cache_savings", usd(total["cache_savings_usd"]?.value, locale)],
  ];
  return (
    <Card title={t("costs.cache")} className="third cache" source="/api/v1/costs">
      {(total["cache_hit_ratio"]?.n ?? 0) === 0 ? (
        <p className="centre">{t("costs.cacheNone")}</p>
      ) : (
        <>
          <dl className="facts">
            {facts.map(([key, value]) => (
              <div key={key}>
                <dt>{t(key)}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
          {misses.length === 0 ? (
            <p className="muted">{t("costs.noMisses")}</p>
          ) : (
            <div className="scroll table-box" tabIndex={0} role="group" aria-label={t("costs.misses")}>
              <table>
                <thead>
                  <tr>
                    <th scope="col">{t("costs.misses")}</th>
                    <th scope="col" className="number">
                      {t("metric.requests")}
                    </th>
                    <th scope="col" className="number">
                      {t("costs.missedTokens")}
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {misses.map((row) => (
                    <tr key={String(row.key["cache_miss_reason"])}>
                      <th scope="row">
                        {valueName(row.key["cache_miss_reason"], "cache_miss_reason", t)}
                      </th>
                      <td className="number">{count(row.values["requests"]?.n, locale)}</td>
                      <td className="number">{missed(row.values["cache_missed_tokens"]?.value)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </>
      )}
    </Card>
  );
}

function CostBy() {
  const { t } = useSpeech();
  const { search, change } = useView();
  const by = DIMENSIONS.find(([name]) => name === search.by) ?? DIMENSIONS[0];
  if (by === undefined) return null;
  return (
    <>
      <div className="by-row">
        <div className="segments" role="group" aria-label={t("explore.dimension")}>
          {DIMENSIONS.map(([name, key]) => (
            <button key={name} type="button" aria-pressed={name === by[0]} onClick={() => change({ by: name === "model" ? undefined : name })}>
              {t(key)}
            </button>
          ))}
        </div>
      </div>
      <Comparison key={by[0]} title={by[1]} heading="costs.by" dimension={by[0]} metrics={COSTS} limit={100} />
    </>
  );
}

export default function CostsView() {
  const { t } = useSpeech();
  const { zone } = useView();
  const costs = useCosts();
  return (
    <Loaded from={costs}>
      {(found) => {
        const isPriced = [found.total, ...found.months.map(({ values }) => values)].some((values) => (values["cost_usd"]?.n ?? 0) > 0);
        const isEstimated = [found.total, ...found.months.map(({ values }) => values)].some((values) => about(values) !== "");
        return (
          <>
            <Tiles costs={found} />
            <div className="grid">
              {isPriced ? (
                <Card title={t("costs.months")} className="two-thirds" source="/api/v1/costs">
                  <MonthBars costs={found} zone={zone} />
                </Card>
              ) : (
                <NoPrices />
              )}
              <Cache costs={found} />
              <YearCard metrics={isPriced ? ["cost_usd", "total_tokens", "requests"] : ["total_tokens", "requests"]} />
              <CostBy />
            </div>
            {isEstimated && <p className="estimate-note">{t("costs.estimated")}</p>}
          </>
        );
      }}
    </Loaded>
  );
}
