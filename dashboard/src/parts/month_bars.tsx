/** A bar for each month: what it cost, and of the one that is not over, what is expected. */
import type { Costs, Month } from "../api/costs";
import { columnOf } from "../format/columns";
import { formatter } from "../format/numbers";
import { useSpeech } from "../i18n";
import { ESTIMATED } from "../views/cards";

const TALL = 100;
/** What is something can be seen. */
const LEAST = 1.5;

const costOf = (month: Month) => month.values["cost_usd"]?.value ?? null;

export function MonthBars({ costs, zone }: { costs: Costs; zone: string }) {
  const { t, locale } = useSpeech();
  const expected = costs.projection.cost_usd;
  const values = costs.months.map(costOf);
  const most = Math.max(expected ?? 0, ...values.map((value) => value ?? 0)) || 1;
  const show = columnOf([...values, expected], "USD", locale);
  const brief = formatter(locale, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", notation: "compact", maximumSignificantDigits: 3 });
  const short = new Intl.DateTimeFormat(locale, { month: "short", timeZone: zone });
  const long = new Intl.DateTimeFormat(locale, { month: "long", year: "numeric", timeZone: zone });
  return (
    <ol className="months">
      {costs.months.map((month, index) => {
        const value = values[index] ?? null;
        const isLast = index === costs.months.length - 1;
        const height = value === null || value === 0 ? 0 : Math.max(LEAST, (value / most) * TALL);
        const estimate = (month.values[ESTIMATED]?.value ?? 0) !== 0 ? "≈ " : "";
        const more = isLast && expected !== null ? ` (${t("costs.expected")} ${show(expected)})` : "";
        return (
          <li key={month.start} title={`${long.format(new Date(month.start))}: ${estimate}${show(value)}${more}`}>
            <span className="amount">
              {value !== null && `${estimate.trim()}${brief.format(value)}`}
            </span>
            <svg viewBox={`0 0 10 ${TALL}`} preserveAspectRatio="none" aria-hidden="true">
              {isLast && expected !== null && <rect className="expected" x="0" width="10" y={TALL - (expected / most) * TALL} height={(expected / most) * TALL} />}
              <rect className={isLast ? "now" : ""} x="0" width="10" y={TALL - height} height={height} />
              <line x1="0" x2="10" y1={TALL} y2={TALL} vectorEffect="non-scaling-stroke" />
            </svg>
            <span className="label">{short.format(new Date(month.start))}</span>
          </li>
        );
      })}
    </ol>
  );
}
