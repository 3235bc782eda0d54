/** A session as a drawing: where its requests stand on a line of time whose pauses are folded. Pure. */
import type { SessionRequest } from "../api/sessions";

export const PAUSE_MS = 60_000; // as `analytics/session_time.py` has it
const PAUSE_SHARE = 0.02; // of the line, each pause
const PAUSES_SHARE = 0.3; // of the line, all of them

export interface Pause {
  readonly from: number;
  readonly to: number;
  readonly ms: number;
}

export interface Line {
  /** From milliseconds since the session's first request to a place on the line, from 0 to 1. */
  readonly at: (ms: number) => number;
  readonly pauses: readonly Pause[];
  /** Where work begins again, in milliseconds since the first request. */
  readonly begins: readonly number[];
  readonly endMs: number;
}

interface Piece {
  readonly fromMs: number;
  readonly toMs: number;
}

const endOf = (request: SessionRequest): number => request.start_ms + (request.response_time_ms ?? 0);

/** What was open without a pause in between, in order. */
export function pieces(requests: readonly SessionRequest[]): Piece[] {
  const found: { fromMs: number; toMs: number }[] = [];
  for (const request of requests) {
    const last = found.at(-1);
    if (last !== undefined && request.start_ms - last.toMs <= PAUSE_MS) last.toMs = Math.max(last.toMs, endOf(request));
    else found.push({ fromMs: request.start_ms, toMs: Math.max(endOf(request), request.start_ms) });
  }
  return found;
}

/** Work is drawn to scale, and a pause of any length has the same width: five hours of lunch would hide five minutes of work. */
export function lineOf(requests: readonly SessionRequest[]): Line {
  const work = pieces(requests);
  const busyMs = Math.max(1, work.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0));
  const many = Math.max(0, work.length - 1);
  const width = many === 0 ? 0 : Math.min(PAUSE_SHARE, PAUSES_SHARE / many);
  const scale = (1 - width * many) / busyMs;
  const placed: { fromMs: number; toMs: number; at: number }[] = [];
  let at = 0;
  for (const piece of work) {
    placed.push({ ...piece, at });
    at += (piece.toMs - piece.fromMs) * scale + width;
  }
  const place = (ms: number): number => {
    let [low, high] = [0, placed.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((placed[middle]?.fromMs ?? 0) <= ms) low = middle;
      else high = middle - 1;
    }
    const piece = placed[low];
    return piece === undefined ? 0 : Math.min(1, piece.at + (Math.min(ms, piece.toMs) - piece.fromMs) * scale);
  };
  const pauses = placed.slice(1).map((piece, index) => ({ from: piece.at - width, to: piece.at, ms: piece.fromMs - (placed[index]?.toMs ?? 0) }));
  return { at: place, pauses, begins: work.map(({ fromMs }) => fromMs), endMs: work.at(-1)?.toMs ?? 0 };
}

export interface Lane {
  /** `null`: the session's own agent; `undefined`: all others together. */
  readonly agent: string | null | undefined;
}

export const MOST_LANES = 8;

/** A lane for each agent in the order of the tree; the last one is for all that have no room. */
export function lanesOf(agents: readonly (string | null)[], requests: readonly SessionRequest[]): { lanes: readonly Lane[]; laneOf: (agent: string | null) => number } {
  const there = new Set(requests.map((request) => request.agent_id));
  const asked = agents.filter((agent) => there.has(agent));
  const more = [...there].filter((agent) => !asked.includes(agent));
  const all = [...asked, ...more];
  const shown = all.length <= MOST_LANES ? all : all.slice(0, MOST_LANES - 1);
  const lanes: Lane[] = [...shown.map((agent) => ({ agent })), ...(all.length > shown.length ? [{ agent: undefined }] : [])];
  const places = new Map(shown.map((agent, place) => [agent, place]));
  return { lanes, laneOf: (agent) => places.get(agent) ?? lanes.length - 1 };
}

/** Where the parts of a request begin and end, in milliseconds since the session's first request. */
export const PARTS = [
  ["waiting", "waiting_ms"],
  ["first_token", "first_token_ms"],
  ["generating", "generating_ms"],
] as const;
export type Part = (typeof PARTS)[number][0] | "undivided";

export function partsOf(request: SessionRequest): { part: Part; fromMs: number; toMs: number }[] {
  let at = request.start_ms;
  const found: { part: Part; fromMs: number; toMs: number }[] = [];
  for (const [part, column] of PARTS) {
    const ms = request[column];
    if (ms === null) continue;
    found.push({ part, fromMs: at, toMs: at + ms });
    at += ms;
  }
  const end = endOf(request);
  if (request.first_token_ms === null && end > at) found.push({ part: "undivided", fromMs: at, toMs: end });
  return found;
}

/** Rectangles as one path: thousands of requests are a handful of elements. */
export function rectangles(boxes: readonly (readonly [x: number, y: number, width: number, height: number])[]): string {
  return boxes.map(([x, y, width, height]) => `M${x.toFixed(1)} ${y.toFixed(1)}h${width.toFixed(1)}v${height.toFixed(1)}h${(-width).toFixed(1)}z`).join("");
}

/** A scale's end that reads well: 1, 2 or 5 and zeros, at or above the value. */
export function niceTop(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find((step) => step * power >= value) ?? 10) * power;
}
