/** How objectives and alerts stand, from what the program measured last. Pure. */

export type Watched = "good" | "bad" | "waiting" | "unknown";

/** An objective without a request in its window is neither met nor missed; one that was not measured yet waits. */
export function sloState(slo: { readonly met: boolean | null; readonly measured_at: string | null }): Watched {
  if (slo.met !== null) return slo.met ? "good" : "bad";
  return slo.measured_at === null ? "waiting" : "unknown";
}

export function isFiring(alert: { readonly phase: string }): boolean {
  return alert.phase === "firing";
}

type Slo = { readonly name: string; readonly met: boolean | null; readonly measured_at: string | null; readonly error: string | null };
type Alert = { readonly name: string; readonly phase: string; readonly error: string | null };

/** Names of what needs a look, by why; and whether some objective has yet to be measured for the first time. */
export interface Attention {
  readonly missed: readonly string[];
  readonly firing: readonly string[];
  readonly unmeasured: readonly string[];
  readonly waiting: boolean;
}

export function attention(slos: readonly Slo[], alerts: readonly Alert[]): Attention {
  const names = (rows: readonly { readonly name: string }[]) => rows.map(({ name }) => name);
  return {
    missed: names(slos.filter((slo) => sloState(slo) === "bad")),
    firing: names(alerts.filter(isFiring)),
    unmeasured: names([...slos, ...alerts].filter(({ error }) => error !== null)),
    waiting: slos.some((slo) => slo.error === null && sloState(slo) === "waiting"),
  };
}

const UNITS: readonly (readonly [RegExp, string])[] = [
  [/_ms(\.|$)/, "ms"],
  [/_bytes(\.|$)/, "bytes"],
  [/_usd(\.|$)/, "USD"],
  [/_rate$|^goodput$/, "ratio"],
  [/tokens_per_second\.(?!count)/, "tokens/s"],
];

/** The unit of a metric by its name, where no answer says it: names carry their unit. */
export function unitOfMetric(metric: string): string {
  return metric.endsWith(".count") ? "" : (UNITS.find(([name]) => name.test(metric))?.[1] ?? "");
}
