/** Which limits and budgets need a look, and the line of what is left. Pure. */
import type { Budget, Quota } from "../api/quotas";

export type Tone = "good" | "warn" | "bad" | "";
const LITTLE = 0.2;

/** A subscription's window, not a limit that fills up every minute. */
export function isWindow(quota: Quota): boolean {
  return quota.window_s !== null;
}

export function toneOf(quota: Quota): Tone {
  if (quota.is_over === true || quota.left_ratio === null) return "";
  if (quota.verdict === "used_up") return "bad";
  return quota.verdict === "runs_out" || quota.left_ratio < LITTLE ? "warn" : "good";
}

export const STANDING_TONES: Readonly<Record<string, Tone>> = { ok: "good", near: "warn", projected: "warn", over: "bad" };

/** What somebody should know of without asking: windows that do not last or are nearly empty, and budgets that are near. */
export function nearLimits(quotas: readonly Quota[], budgets: readonly Budget[]) {
  const windows = quotas.filter((quota) => isWindow(quota) && (toneOf(quota) === "warn" || toneOf(quota) === "bad"));
  const standings = budgets.flatMap((budget) => (budget.standings ?? []).filter(({ state }) => state !== "ok").map((standing) => ({ budget, standing })));
  return { windows, standings };
}

export interface Burn {
  /** (Unix milliseconds, share left), from the beginning of the window to the last word. */
  readonly left: readonly (readonly [number, number])[];
  /** On from there at the rate of late, to nothing or to the reset; empty where no rate is known. */
  readonly projected: readonly (readonly [number, number])[];
}

export function burnDown(quota: Quota): Burn {
  const said = (quota.samples ?? []).flatMap(({ at, left_ratio }) => (left_ratio === null ? [] : [[Date.parse(at), left_ratio] as const]));
  const began = quota.began_at == null ? null : Date.parse(quota.began_at);
  const left = began !== null && said[0] !== undefined && began < said[0][0] ? [[began, 1] as const, ...said] : said;
  const last = left.at(-1);
  const resets = quota.resets_at === null ? null : Date.parse(quota.resets_at);
  if (last === undefined || resets === null || quota.left_at_reset_ratio == null) return { left, projected: [] };
  const runsOut = quota.verdict === "runs_out" && quota.runs_out_at != null ? Date.parse(quota.runs_out_at) : null;
  return { left, projected: runsOut === null ? [last, [resets, quota.left_at_reset_ratio]] : [last, [runsOut, 0], [resets, 0]] };
}

/** Windows of one server and key together, in the order in which they came. */
export function byKey(quotas: readonly Quota[]): readonly (readonly [string, readonly Quota[]])[] {
  const found = new Map<string, Quota[]>();
  for (const quota of quotas) {
    const key = `${quota.backend}\n${quota.api_key_id}`;
    found.set(key, [...(found.get(key) ?? []), quota]);
  }
  return [...found];
}
