/** Conditions as links, chips and the API have them: `model=a,b`, `model!=a`, `response_time_ms>5000`. Pure. `analytics/conditions.py` says what they mean. */
import { CONDITIONS } from "../api/columns";

export const OPERATORS = ["=", "!=", ">", ">=", "<", "<="] as const;
export type Operator = (typeof OPERATORS)[number];

export interface Condition {
  readonly name: string;
  readonly op: Operator;
  /** As text, without escapes; `null`: no value. */
  readonly values: readonly (string | null)[];
}

type Row = { readonly name: string; readonly label?: string; readonly holds: string; readonly unit?: string };
const ROWS: ReadonlyMap<string, Row> = new Map((CONDITIONS as readonly Row[]).map((row) => [row.name, row]));
export const rowOf = (name: string): Row | undefined => ROWS.get(name);
export const hasOrder = (name: string): boolean => ["integer", "number", "time"].includes(ROWS.get(name)?.holds ?? "");

export const NO_VALUE = "(none)";
const EMPTY = "\\()";
const LONGEST = 4096; // of a condition, in the API

/** A value as it stands in a list. */
export function written(value: string | null): string {
  if (value === null) return NO_VALUE;
  if (value === "") return EMPTY;
  if (value === NO_VALUE) return `\\${value}`;
  const body = value.replace(/^ +| +$/g, "");
  const [begin, end] = body === "" ? [value.length, 0] : [value.search(/[^ ]/), value.length - value.trimEnd().length];
  const escaped = body.replace(/\\/g, "\\\\").replace(/,/g, "\\,");
  return `${"\\ ".repeat(begin)}${escaped.startsWith("=") ? "\\" : ""}${escaped}${"\\ ".repeat(value.endsWith(" ") ? end : 0)}`;
}

/** What stands in a list; nothing, if a value is missing. */
export function valuesIn(text: string): readonly (string | null)[] {
  const found: (string | null)[] = [];
  let piece = "";
  for (let at = 0; at <= text.length; at += 1) {
    const sign = text[at];
    if (sign === "\\" && at + 1 < text.length && ",\\( =".includes(text[at + 1] as string)) {
      piece += `${sign}${text[at + 1]}`;
      at += 1;
    } else if (sign === "," || sign === undefined) {
      const begun = piece.replace(/^ +/, "");
      const cut = begun.replace(/ +$/, "");
      const isEscaped = cut !== begun && (/\\*$/.exec(cut)?.[0].length ?? 0) % 2 === 1; // the blank behind it
      const bare = isEscaped ? `${cut} ` : cut;
      if (bare === "") return [];
      found.push(bare === NO_VALUE ? null : bare === EMPTY ? "" : bare.replace(/\\([,\\( =])/g, "$1"));
      piece = "";
    } else piece += sign;
  }
  return found;
}

export function format({ name, op, values }: Condition): string {
  return `${name}${op}${values.map(written).join(",")}`;
}

const KEY = /^\s*([A-Za-z_]\w*)\s*(!=|>=|<=|[!<>=])?([^]*)$/;

/** The condition that a word of a link and its value are; `null`: they are none. */
export function conditionIn(key: string, value: string): Condition | null {
  const [, name = "", sign = "", rest = ""] = KEY.exec(key) ?? [];
  if (!ROWS.has(name) || key.length + value.length > LONGEST) return null;
  const whole = sign === "" ? `=${value}` : value === "" ? `${sign}${rest}` : `${sign}${rest}=${value}`;
  const op = [...OPERATORS].sort((a, b) => b.length - a.length).find((each) => whole.startsWith(each));
  if (op === undefined) return null;
  const text = whole.slice(op.length);
  const ordered = op !== "=" && op !== "!=";
  if (ordered && (!hasOrder(name) || text.trim() === "")) return null;
  const values = ordered ? [text.trim()] : valuesIn(text);
  return values.length === 0 ? null : { name, op, values };
}

/** The same as a word of a link and its value, as readers of query strings cut it. */
export function keyed(condition: Condition): readonly [string, string] {
  const text = format(condition);
  const at = text.indexOf("=");
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}
