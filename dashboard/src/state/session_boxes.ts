/** What is drawn of a session's requests: boxes for the context and for who waited for what. Pure. */
import type { SessionRequest } from "../api/sessions";
import { type Part, partsOf } from "./session_line";

export type Box = readonly [x: number, y: number, width: number, height: number];

export const LEAST_PX = 1.5; // something is never drawn as nothing

export interface Frame {
  /** From milliseconds since the session's first request to pixels. */
  readonly xOf: (ms: number) => number;
  readonly width: number;
  readonly contextTop: number;
  readonly contextHeight: number;
  /** Prompt tokens at the top of the scale. */
  readonly most: number;
  readonly barTop: (agent: string | null) => number;
  readonly barHeight: number;
}

export interface Boxes {
  readonly parts: Readonly<Record<Part, readonly Box[]>>;
  readonly cached: readonly Box[];
  readonly fresh: readonly Box[];
  readonly failed: readonly Box[];
  /** Middles of those that the cache missed. */
  readonly missed: readonly number[];
}

/** Of the requests that are in sight. */
export function boxesOf(requests: readonly SessionRequest[], { xOf, width, contextTop, contextHeight, most, barTop, barHeight }: Frame): Boxes {
  const parts: Record<Part, Box[]> = { waiting: [], first_token: [], generating: [], undivided: [] };
  const [cached, fresh, failed, missed]: [Box[], Box[], Box[], number[]] = [[], [], [], []];
  const bottom = contextTop + contextHeight;
  for (const request of requests) {
    const [begin, end] = [xOf(request.start_ms), xOf(request.start_ms + (request.response_time_ms ?? 0))];
    if (end < 0 || begin > width) continue;
    const [y, wide] = [barTop(request.agent_id), Math.max(LEAST_PX, end - begin)];
    if (request.success === false) failed.push([begin, y, wide, barHeight]);
    else
      for (const { part, fromMs, toMs } of partsOf(request))
        if (toMs > fromMs) parts[part].push([xOf(fromMs), y, Math.max(part === "waiting" ? 0 : LEAST_PX / 2, xOf(toMs) - xOf(fromMs)), barHeight]);
    const prompt = ((request.prompt_tokens ?? 0) / most) * contextHeight;
    const kept = Math.min(prompt, ((request.cached_tokens ?? 0) / most) * contextHeight);
    const bar = Math.max(LEAST_PX, wide - 0.6);
    if (kept > 0) cached.push([begin, bottom - kept, bar, kept]);
    if (prompt > kept) fresh.push([begin, bottom - prompt, bar, prompt - kept]);
    if (request.cache === "miss") missed.push(begin + wide / 2);
  }
  return { parts, cached, fresh, failed, missed };
}
