/** Numbers, durations and sizes as people read them, in their own language. Missing is an en dash, never 0. */

export const MISSING = "–";

const cache = new Map<string, Intl.NumberFormat>();

export function formatter(locale: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = locale + JSON.stringify(options);
  let found = cache.get(key);
  if (found === undefined) cache.set(key, (found = new Intl.NumberFormat(locale, options)));
  return found;
}

/** 950 · 12.3K · 4.56M; whole below 10,000. */
export function count(value: number | null | undefined, locale: string): string {
  if (value === null || value === undefined) return MISSING;
  if (Math.abs(value) < 10_000) return formatter(locale, { maximumFractionDigits: 0 }).format(value);
  return formatter(locale, { notation: "compact", maximumSignificantDigits: 3 }).format(value);
}

/** A ratio from 0 to 1 as percent. What is not all never shows as 100 %, nor what is something as 0 %. */
export function percent(value: number | null | undefined, locale: string): string {
  if (value === null || value === undefined) return MISSING;
  const between = value > 0 && value < 1;
  const near = between && (value > 0.999 || value < 0.001) ? 4 : between && value > 0.99 ? 2 : 1;
  const shown = between ? Math.min(Math.max(value, 0.000001), 0.999999) : value;
  return formatter(locale, { style: "percent", maximumFractionDigits: near }).format(shown);
}

const DURATIONS: readonly (readonly [number, number, string])[] = [
  [86_400_000, 86_400_000, "day"],
  [3_600_000, 3_600_000, "hour"],
  [120_000, 60_000, "minute"],
  [1000, 1000, "second"],
];

/** Milliseconds with three significant digits in the unit that suits: 0.42 ms, 37 ms, 1.23 s, 4.5 min. */
export function duration(ms: number | null | undefined, locale: string): string {
  if (ms === null || ms === undefined) return MISSING;
  const row = DURATIONS.find(([from]) => Math.abs(ms) >= from);
  const [value, unit] = row === undefined ? [ms, "millisecond"] : [ms / row[1], row[2]];
  return formatter(locale, { style: "unit", unit, unitDisplay: "short", maximumSignificantDigits: 3 }).format(value);
}

const SIZES = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const;

export function bytes(value: number | null | undefined, locale: string): string {
  if (value === null || value === undefined) return MISSING;
  const step = value <= 0 ? 0 : Math.min(SIZES.length - 1, Math.floor(Math.log10(value) / 3));
  const unit = SIZES[step] ?? "byte";
  return formatter(locale, { style: "unit", unit, unitDisplay: "short", maximumSignificantDigits: 3 }).format(value / 1000 ** step);
}

/** Small amounts keep two significant digits: $0.00042 is not $0.00. */
export function usd(value: number | null | undefined, locale: string): string {
  if (value === null || value === undefined) return MISSING;
  const small = value !== 0 && Math.abs(value) < 0.995; // what rounds to a dollar is one
  const digits: Intl.NumberFormatOptions = small ? { minimumSignificantDigits: 2, maximumSignificantDigits: 2 } : { maximumFractionDigits: 2 };
  return formatter(locale, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", ...digits }).format(value);
}

export function rate(value: number | null | undefined, locale: string): string {
  if (value === null || value === undefined) return MISSING;
  return formatter(locale, { maximumSignificantDigits: 3 }).format(value);
}

/** Tokens per second. */
export function speed(value: number | null | undefined, locale: string): string {
  return value === null || value === undefined ? MISSING : `${rate(value, locale)} tok/s`;
}

const FORMATS: Record<string, (value: number | null | undefined, locale: string) => string> = {
  ms: duration,
  bytes,
  USD: usd,
  ratio: percent,
  "tokens/s": speed,
  "requests/s": rate,
};

/** The unit of a column of an answer. The API gives none with a ratio, which people read as percent. */
export function unitOf(columns: readonly { readonly name: string; readonly unit: string }[] | undefined, metric: string): string {
  const unit = columns?.find(({ name }) => name === metric)?.unit ?? "";
  return unit === "" && /_(rate|ratio)$/.test(metric) ? "ratio" : unit;
}

/** By the unit that the API gives with a column. */
export function withUnit(value: number | null | undefined, unit: string, locale: string): string {
  return (FORMATS[unit] ?? count)(value, locale);
}
