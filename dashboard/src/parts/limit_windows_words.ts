/** Words of windows of limits. */
import type { Quota } from "../api/quotas";
import { useView } from "../app/view";
import { percent } from "../format/numbers";
import { useSpeech } from "../i18n";

const UNITS = [
  ["day", 1440],
  ["hour", 60],
  ["minute", 1],
] as const;

/** In at most two units: 2 days 4 hr, 1 hr 5 min. */
export function span(seconds: number, locale: string, unitDisplay: "short" | "narrow" = "short"): string {
  let minutes = Math.max(1, Math.round(seconds / 60));
  const first = UNITS.findIndex(([, length]) => minutes >= length);
  const parts: string[] = [];
  for (const [unit, length] of UNITS.slice(first, first + 2)) {
    const number = Math.floor(minutes / length);
    minutes -= number * length;
    if (number > 0) parts.push(new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay }).format(number));
  }
  return parts.join(" ");
}

const A_DAY_MS = 20 * 3_600_000;

/** The clock, and the day too where it is not about today. */
export function when(at: string, nowMs: number, locale: string, zone: string): string {
  const ms = Date.parse(at);
  const day = Math.abs(ms - nowMs) < A_DAY_MS ? {} : ({ weekday: "short", day: "numeric", month: "short" } as const);
  return new Intl.DateTimeFormat(locale, { ...day, hour: "numeric", minute: "2-digit", timeZone: zone }).format(ms);
}

/** What a window is called: by its length. */
export function useWindowName() {
  const { t, locale } = useSpeech();
  return (quota: Quota) => (quota.window_s === null ? quota.limit : t("limits.window", { length: span(quota.window_s, locale, "narrow") }));
}

/** The verdict in one line, in the reader's language. */
export function useVerdict() {
  const { t, locale } = useSpeech();
  const { zone, nowMs } = useView();
  return (quota: Quota): string => {
    if (quota.is_over === true) return t("limits.over");
    const time = quota.runs_out_at == null ? "" : when(quota.runs_out_at, nowMs, locale, zone);
    const early = span(quota.early_s ?? 0, locale);
    switch (quota.verdict) {
      case "runs_out":
        return t("limits.runsOut", { time, early });
      case "lasts":
        return t("limits.lasts", { share: percent(quota.left_at_reset_ratio, locale) });
      case "idle":
        return t("limits.idle");
      case "used_up":
        return t("limits.usedUp");
      default:
        return t("limits.unknown");
    }
  };
}
