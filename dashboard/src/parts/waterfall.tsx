/** Where a request's time went: a bar from one end to the other, and its phases below it, each where it lies. */
import { columnOf } from "../format/columns";
import { formatter } from "../format/numbers";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { waterfall } from "../state/waterfall";
import { Bars } from "./bars";

/** Quarters of the whole: enough to read a length by. */
const TICKS = [0, 0.25, 0.5, 0.75, 1];

const LONG_MS = 120_000; // from there on milliseconds say nothing

/** Whole milliseconds for all phases, so that they can be compared; of a long request what suits it. */
function phaseTexts(lengths: readonly number[], total: number, locale: string): (ms: number) => string {
  if (total >= LONG_MS) return columnOf([...lengths, total], "ms", locale);
  const format = formatter(locale, { style: "unit", unit: "millisecond", unitDisplay: "short", maximumFractionDigits: 0 });
  return (ms) => (ms > 0 && ms < 0.5 ? `<${format.format(1)}` : format.format(ms));
}

export function Waterfall({ record }: { record: Readonly<Record<string, unknown>> }) {
  const { t, locale } = useSpeech();
  const bars = waterfall(record);
  const total = bars.at(-1)?.endMs ?? 0;
  if (total === 0) return null;
  const text = phaseTexts(bars.map((bar) => bar.endMs - bar.startMs), total, locale);
  const rows = bars.map((bar, index) => ({
    name: t(`phase.${bar.phase}` as Key),
    text: text(bar.endMs - bar.startMs),
    from: bar.startMs / total,
    share: (bar.endMs - bar.startMs) / total,
    colour: index,
  }));
  const said = columnOf(TICKS.map((share) => share * total), "ms", locale);
  return (
    <section className="waterfall-box">
      <h3>{t("request.timeline")}</h3>
      <Bars className="waterfall" label={t("request.timeline")} rows={rows} />
      <div className="ticks" aria-hidden="true">
        {TICKS.map((share) => (
          <span key={share}>{said(share * total)}</span>
        ))}
      </div>
    </section>
  );
}
