import { describe, expect, it } from "vitest";

import type { SessionRequest } from "../api/sessions";
import { lanesOf, lineOf, MOST_LANES, niceTop, partsOf, pieces, rectangles } from "./session_line";
import { sessionPath } from "./session_path";

const request = (start_ms: number, response_time_ms: number | null, more: Partial<SessionRequest> = {}): SessionRequest =>
  ({ start_ms, response_time_ms, agent_id: null, waiting_ms: 1, first_token_ms: 200, generating_ms: (response_time_ms ?? 201) - 201, ...more }) as SessionRequest;

describe("the line of time", () => {
  const hour = 3_600_000;
  const requests = [request(0, 10_000), request(20_000, 10_000), request(5 * hour, 30_000)];

  it("is in pieces where nobody asked for more than a minute", () => {
    expect(pieces(requests)).toEqual([
      { fromMs: 0, toMs: 30_000 },
      { fromMs: 5 * hour, toMs: 5 * hour + 30_000 },
    ]);
  });
  it("draws work to scale and folds pauses", () => {
    const line = lineOf(requests);
    expect(line.at(0)).toBe(0);
    expect(line.at(5 * hour + 30_000)).toBeCloseTo(1);
    const work = line.at(30_000) - line.at(0);
    expect(line.at(15_000)).toBeCloseTo(work / 2);
    expect(line.at(5 * hour + 30_000) - line.at(5 * hour)).toBeCloseTo(work);
    expect(line.pauses).toHaveLength(1);
    expect(line.pauses[0]?.ms).toBe(5 * hour - 30_000);
    expect((line.pauses[0]?.to ?? 0) - (line.pauses[0]?.from ?? 0)).toBeCloseTo(0.02);
  });
  it("never turns back, and stays within its bounds, however many pauses there are", () => {
    const many = Array.from({ length: 500 }, (_, index) => request(index * 100_000, 1000));
    const line = lineOf(many);
    const places = many.flatMap(({ start_ms }) => [line.at(start_ms), line.at(start_ms + 1000)]);
    expect(places).toEqual(places.toSorted((one, other) => one - other));
    expect(Math.min(...places)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...places)).toBeLessThanOrEqual(1);
  });
  it("is there for requests of which nothing is known", () => expect(lineOf([request(0, null)]).at(0)).toBe(0));
});

describe("lanes", () => {
  it("follow the tree, and the last one is for all that have no room", () => {
    const agents = [null, ...Array.from({ length: 20 }, (_, index) => `agent-${index}`)];
    const requests = agents.map((agent_id, index) => request(index, 1, { agent_id }));
    const { lanes, laneOf } = lanesOf(agents, requests);
    expect(lanes).toHaveLength(MOST_LANES);
    expect(lanes.at(-1)?.agent).toBeUndefined();
    expect([laneOf(null), laneOf("agent-0"), laneOf("agent-19")]).toEqual([0, 1, MOST_LANES - 1]);
  });
  it("are only those of agents that asked", () => expect(lanesOf([null, "a"], [request(0, 1, { agent_id: "a" })]).lanes).toEqual([{ agent: "a" }]));
});

it("divides a request into what it waited for", () => {
  expect(partsOf(request(100, 1000)).map(({ part, fromMs, toMs }) => [part, fromMs, toMs])).toEqual([
    ["waiting", 100, 101],
    ["first_token", 101, 301],
    ["generating", 301, 1100],
  ]);
  const whole = partsOf(request(0, 1000, { first_token_ms: null, generating_ms: null }));
  expect(whole.map(({ part, toMs }) => [part, toMs])).toEqual([
    ["waiting", 1],
    ["undivided", 1000],
  ]);
});

it("draws many boxes as one path", () => expect(rectangles([[1, 2, 3, 4]])).toBe("M1.0 2.0h3.0v4.0h-3.0z"));
it("ends scales at numbers that read well", () => expect([0, 3, 17, 140_000].map(niceTop)).toEqual([1, 5, 20, 200_000]));
it("asks for ids that a path would take for folders", () => {
  expect(sessionPath("..")).toBe("/api/v1/sessions/..%2F");
  expect(sessionPath("a/")).toBe("/api/v1/sessions/a%2F%2F");
  expect(sessionPath("a/b?c#d")).toBe("/api/v1/sessions/a%2Fb%3Fc%23d");
});
