/** A request's own timeline: its phases as bars, from the moments that its record has. Pure. */

export interface Bar {
  readonly phase: string;
  readonly startMs: number;
  readonly endMs: number;
}

/** Moments in the order in which they happen; the phase is what lies between one and the next that is known. */
const MOMENTS = [
  ["body", "body_complete_ms"],
  ["connect", "upstream_acquired_ms"],
  ["send", "request_sent_ms"],
  ["wait", "response_headers_ms"],
  ["first_byte", "time_to_first_byte_ms"],
  ["first_token", "time_to_first_token_ms"],
  ["generate", "time_to_last_token_ms"],
  ["finish", "response_time_ms"],
] as const;

export type Phase = (typeof MOMENTS)[number][0];

/** What is not known is left out, and belongs to the phase after it; what lies before an earlier moment counts as that. */
export function waterfall(record: Readonly<Record<string, unknown>>): Bar[] {
  let at = 0;
  return MOMENTS.flatMap(([phase, column]) => {
    const value = record[column];
    if (typeof value !== "number" || !Number.isFinite(value)) return [];
    const bar = { phase, startMs: at, endMs: Math.max(at, value) };
    at = bar.endMs;
    return [bar];
  });
}
