/** Numbers that stand below each other: one unit and one number of decimals for all of a column. Pure. */
import { formatter, MISSING, withUnit } from "./numbers";

export type Shown = (value: number | null | undefined) => string;
type Values = readonly (number | null | undefined)[];
type Made = (known: readonly number[], locale: string) => (value: number) => string;

interface Scale {
  readonly from: number;
  readonly per: number;
  readonly unit: string;
}

/** The largest first; the last one takes whatever is left. */
const DURATIONS: readonly Scale[] = [
  { from: 172_800_000, per: 86_400_000, unit: "day" },
  { from: 7_200_000, per: 3_600_000, unit: "hour" },
  { from: 600_000, per: 60_000, unit: "minute" },
  { from: 1000, per: 1000, unit: "second" },
  { from: 0, per: 1, unit: "millisecond" },
];
const SIZES: readonly Scale[] = [
  { from: 1e12, per: 1e12, unit: "terabyte" },
  { from: 1e9, per: 1e9, unit: "gigabyte" },
  { from: 1e6, per: 1e6, unit: "megabyte" },
  { from: 1e3, per: 1e3, unit: "kilobyte" },
  { from: 0, per: 1, unit: "byte" },
];

const MOST_DECIMALS = 6;
const COMPACT_FROM = 1_000_000; // below, a column of whole numbers is easier to compare

function middle(values: readonly number[]): number {
  const sorted = values.map(Math.abs).filter((value) => value > 0).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** So many that the value in the middle has `digits` significant ones. */
function decimals(values: readonly number[], digits: number): number {
  const at = middle(values);
  return at === 0 ? 0 : Math.min(MOST_DECIMALS, Math.max(0, digits - 1 - Math.floor(Math.log10(at))));
}

const fixed = (digits: number): Intl.NumberFormatOptions => ({ minimumFractionDigits: digits, maximumFractionDigits: digits });

/** What is something never reads as nothing: it is less than the least that the column can say. */
function floored(value: number, least: number, say: (value: number) => string): string {
  return value !== 0 && Math.abs(value) < least / 2 ? `<${say(least)}` : say(value);
}

function scaleOf(known: readonly number[], scales: readonly Scale[]) {
  const most = Math.max(...known.map(Math.abs));
  const { per, unit } = scales.find(({ from }) => most >= from) ?? { per: 1, unit: "" };
  return { per, unit, digits: per === 1 && most >= 100 ? 0 : Math.min(2, decimals(known.map((value) => value / per), 3)) };
}

const scaled =
  (scales: readonly Scale[]): Made =>
  (known, locale) => {
    const { per, unit, digits } = scaleOf(known, scales);
    const format = formatter(locale, { style: "unit", unit, unitDisplay: "short", ...fixed(digits) });
    return (value) => floored(value / per, 10 ** -digits, (each) => format.format(each));
  };

/** As many as it takes that what is not all does not read as 100 %, nor what is something as 0 %. */
const ratioDigits = (known: readonly number[]): number =>
  [1, 2, 3, 4].find((each) => known.every((value) => value <= 0 || value >= 1 || (value * 100 >= 10 ** -each / 2 && (1 - value) * 100 > 10 ** -each / 2))) ?? 4;

const ratio: Made = (known, locale) => {
  const digits = ratioDigits(known);
  const format = formatter(locale, { style: "percent", ...fixed(digits) });
  const edge = 10 ** -(digits + 2);
  return (value) => format.format(value > 0 && value < 1 ? Math.min(Math.max(value, edge), 1 - edge) : value);
};

const money: Made = (known, locale) => {
  const digits = Math.max(2, decimals(known, 2));
  const format = formatter(locale, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", ...fixed(digits) });
  return (value) => floored(value, 10 ** -digits, (each) => format.format(each));
};

const speed: Made = (known, locale) => {
  const format = formatter(locale, fixed(Math.min(2, decimals(known, 3))));
  return (value) => `${format.format(value)} tok/s`;
};

const whole: Made = (known, locale) => {
  if (Math.max(...known.map(Math.abs)) < COMPACT_FROM) {
    const format = formatter(locale, { maximumFractionDigits: 0 });
    return (value) => format.format(value);
  }
  const [large, small] = [formatter(locale, { notation: "compact", ...fixed(1) }), formatter(locale, { maximumFractionDigits: 0 })];
  return (value) => (Math.abs(value) < 1000 ? small : large).format(value);
};

const MADE: Readonly<Record<string, Made>> = { ms: scaled(DURATIONS), bytes: scaled(SIZES), ratio, USD: money, "tokens/s": speed, "": whole, tokens: whole, requests: whole };

/** How the values of a column are written. */
export function columnOf(values: Values, unit: string, locale: string): Shown {
  const known = values.filter((value) => value !== null && value !== undefined && Number.isFinite(value)) as number[];
  const made = MADE[unit];
  if (known.length === 0 || made === undefined) return (value) => withUnit(value, unit, locale);
  const say = made(known, locale);
  return (value) => (value === null || value === undefined ? MISSING : say(value));
}

export interface Headed {
  /** What all values are in, for the head of the column; empty: nothing but numbers. */
  readonly unit: string;
  readonly show: Shown;
}

const SCALES: Readonly<Record<string, readonly Scale[]>> = { ms: DURATIONS, bytes: SIZES };
const MOST_DIGITS = 3;

/** How many decimals a column of this unit has, what its values are divided by, and what that is called. */
function headOf(known: readonly number[], unit: string, locale: string): { readonly per: number; readonly digits: number; readonly unit: string } {
  const scales = SCALES[unit];
  if (scales !== undefined) {
    const found = scaleOf(known, scales);
    const parts = formatter(locale, { style: "unit", unit: found.unit, unitDisplay: "short" }).formatToParts(2);
    return { ...found, unit: parts.find(({ type }) => type === "unit")?.value ?? found.unit };
  }
  if (unit === "ratio") return { per: 0.01, digits: ratioDigits(known), unit: "%" };
  if (unit === "USD") return { per: 1, digits: Math.max(2, decimals(known, 2)), unit: "$" };
  const digits = known.every(Number.isInteger) ? 0 : Math.min(MOST_DIGITS, decimals(known, MOST_DIGITS));
  return { per: 1, digits, unit: unit === "tokens/s" ? "tok/s" : "" };
}

/** As `columnOf`, but with the unit once, at the head: decimals stand below each other, and every value is whole. */
export function headed(values: Values, unit: string, locale: string): Headed {
  const known = values.filter((value) => value !== null && value !== undefined && Number.isFinite(value)) as number[];
  if (known.length === 0) return { unit: "", show: () => MISSING };
  const head = headOf(known, unit, locale);
  const format = formatter(locale, fixed(head.digits));
  const say = (value: number) => floored(value / head.per, 10 ** -head.digits, (each) => format.format(each));
  return { unit: head.unit, show: (value) => (value === null || value === undefined ? MISSING : say(value)) };
}
