/** A session's line of time: how the context grows and what of it is cached, and below it who waited for what. */
import { type KeyboardEvent, type PointerEvent, useEffect, useMemo, useRef, useState } from "react";

import { cacheWords, type SessionRequest } from "../api/sessions";
import { useView } from "../app/view";
import { count, duration, usd } from "../format/numbers";
import { moment, tick } from "../format/times";
import { useSpeech } from "../i18n";
import { boxesOf, LEAST_PX } from "../state/session_boxes";
import { lanesOf, lineOf, niceTop, type Part, partsOf, rectangles } from "../state/session_line";
import { Legend } from "./legend";

const TOP = 14;
const CONTEXT = 128;
const AXIS = 22;
const LANE = 30;
const BAR = 13;
const LABEL_PX = 84;
const NEAR_PX = 24;
const DRAG_PX = 6;

const PART_COLOUR: Record<Part, number> = { waiting: 7, first_token: 1, generating: 0, undivided: 5 };
const PART_WORDS = {
  waiting: "sessions.part.waiting",
  first_token: "phase.first_token",
  generating: "sessions.part.generating",
  undivided: "sessions.part.undivided",
} as const;
const CACHED = 2;
const FRESH = 4;
const series = (colour: number) => `var(--series-${colour + 1})`;

interface Props {
  readonly requests: readonly SessionRequest[];
  /** In the order of the tree. */
  readonly agents: readonly (string | null)[];
}

type Window_ = readonly [from: number, to: number];
const ALL: Window_ = [0, 1];

function useWidth() {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const watcher = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)));
    watcher.observe(element);
    return () => watcher.disconnect();
  }, []);
  return { box, width };
}

export function SessionLine({ requests, agents }: Props) {
  const { t, locale } = useSpeech();
  const { zone, change } = useView();
  const { box, width } = useWidth();
  const [shown, setShown] = useState<Window_>(ALL);
  const [drag, setDrag] = useState<readonly [number, number] | null>(null);
  const [chosen, setChosen] = useState<number | null>(null);
  const line = useMemo(() => lineOf(requests), [requests]);
  const { lanes, laneOf } = useMemo(() => lanesOf(agents, requests), [agents, requests]);
  const top = useMemo(() => niceTop(Math.max(0, ...requests.map((request) => request.prompt_tokens ?? 0))), [requests]);
  const laneTop = TOP + CONTEXT + AXIS;
  const height = laneTop + lanes.length * LANE + 4;
  const [from, to] = shown;
  const px = (place: number) => ((place - from) / (to - from)) * width;
  const xOf = (ms: number) => px(line.at(ms));
  const boxes = useMemo(
    () => boxesOf(requests, { xOf, width, contextTop: TOP, contextHeight: CONTEXT, most: top, barTop: (agent) => laneTop + laneOf(agent) * LANE + LANE - BAR - 2, barHeight: BAR }),
    // eslint-disable-next-line react-hooks/exhaustive-deps -- `xOf` is made of the others
    [requests, line, laneOf, top, width, from, to, laneTop],
  );

  const startMs = Date.parse(requests[0]?.timestamp ?? "");
  const ticks = useMemo(() => {
    const found: { x: number; text: string }[] = [];
    const steps = Array.from({ length: 40 }, (_, index) => (line.endMs * index) / 40);
    const inside = steps.filter((ms) => requests.some((request) => request.start_ms <= ms && ms <= request.start_ms + (request.response_time_ms ?? 0)));
    for (const ms of [...line.begins, ...inside]) {
      const x = xOf(ms);
      if (x < 0 || x > width - 40 || found.some((other) => Math.abs(other.x - x) < LABEL_PX)) continue;
      found.push({ x, text: tick(startMs + ms, locale, zone) });
    }
    return found;
    // eslint-disable-next-line react-hooks/exhaustive-deps -- as above
  }, [line, requests, width, from, to, startMs, locale, zone]);

  const near = (x: number, y: number): number | null => {
    const lane = y < laneTop ? null : Math.min(lanes.length - 1, Math.floor((y - laneTop) / LANE));
    let [best, distance] = [null as number | null, NEAR_PX];
    requests.forEach((request, index) => {
      if (lane !== null && laneOf(request.agent_id) !== lane) return;
      const [begin, end] = [xOf(request.start_ms), xOf(request.start_ms + (request.response_time_ms ?? 0))];
      const away = x < begin ? begin - x : x > end ? x - end : 0;
      if (away < distance) [best, distance] = [index, away];
    });
    return best;
  };
  const place = (event: PointerEvent): readonly [number, number] => {
    const frame = event.currentTarget.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  };
  const moved = (event: PointerEvent) => {
    const [x, y] = place(event);
    if (drag !== null) setDrag([drag[0], x]);
    else setChosen(near(x, y));
  };
  const open = (index: number | null) => {
    const request = index === null ? undefined : requests[index];
    if (request !== undefined) change({ id: request.request_id ?? String(request.arrival) });
  };
  const released = (event: PointerEvent) => {
    const [x, y] = place(event);
    if (drag !== null && Math.abs(x - drag[0]) >= DRAG_PX) {
      const [left, right] = [Math.min(drag[0], x), Math.max(drag[0], x)].map((each) => from + (each / width) * (to - from));
      setShown([Math.max(0, left ?? 0), Math.min(1, right ?? 1)]);
    } else open(near(x, y));
    setDrag(null);
  };
  const pressed = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10, Home: -requests.length, End: requests.length }[event.key];
    if (step !== undefined) {
      const next = Math.max(0, Math.min(requests.length - 1, (chosen ?? (step > 0 ? -1 : requests.length)) + step));
      setChosen(next);
      const at = line.at(requests[next]?.start_ms ?? 0);
      if (at < from || at > to) setShown([Math.max(0, Math.min(at - (to - from) / 2, 1 - (to - from))), Math.min(1, Math.max(at + (to - from) / 2, to - from))]);
    } else if (event.key === "Enter") open(chosen);
    else if (event.key === "Escape") [setChosen(null), setShown(ALL)];
    else return;
    event.preventDefault();
  };

  const used = useMemo(() => {
    const parts = new Set(requests.filter(({ success }) => success !== false).flatMap((request) => partsOf(request).map(({ part }) => part)));
    return [
      ...(requests.some((request) => (request.cached_tokens ?? 0) > 0) ? [{ name: t("sessions.cached"), colour: CACHED }] : []),
      { name: t("sessions.fresh"), colour: FRESH },
      ...(["waiting", "first_token", "generating", "undivided"] as const).filter((part) => parts.has(part)).map((part) => ({ name: t(PART_WORDS[part]), colour: PART_COLOUR[part] })),
    ];
  }, [requests, t]);

  const agentName = (agent: string | null | undefined) => (agent === undefined ? t("sessions.otherAgents") : (agent ?? t("sessions.mainAgent")));
  const one = chosen === null ? undefined : requests[chosen];
  const words = one === undefined ? [] : spoken(one);
  function spoken(request: SessionRequest): string[] {
    const cache = cacheWords(request, t);
    return [
      `${moment(startMs + request.start_ms, locale, zone)} · ${duration(request.response_time_ms, locale)}`,
      [agentName(request.agent_id), request.model].filter(Boolean).join(" · "),
      `${t("sessions.prompt")} ${count(request.prompt_tokens, locale)} · ${t("sessions.cached")} ${count(request.cached_tokens, locale)} · ${t("sessions.answer")} ${count(request.completion_tokens, locale)}`,
      [cache, request.cost_usd === null ? null : usd(request.cost_usd, locale), request.error_type].filter(Boolean).join(" · "),
      ...(request.gap_ms > 0 ? [t("sessions.gapBefore", { time: duration(request.gap_ms, locale) })] : []),
    ].filter((text) => text !== "");
  }

  return (
    <>
      <div className="row between">
        <div className="row">
          <Legend items={used} />
          {boxes.missed.length > 0 && <span className="mark">▲ {t("sessions.missMark")}</span>}
          {boxes.failed.length > 0 && <span className="mark">■ {t("nav.errors")}</span>}
        </div>
        {shown !== ALL && (
          <button type="button" className="button bare" onClick={() => setShown(ALL)}>
            {t("sessions.zoomOut")}
          </button>
        )}
      </div>
      <div
        className="session-line"
        ref={box}
        role="slider"
        tabIndex={0}
        aria-label={t("sessions.line")}
        aria-orientation="horizontal"
        aria-valuemin={1}
        aria-valuemax={requests.length}
        aria-valuenow={(chosen ?? 0) + 1}
        aria-valuetext={words.length === 0 ? t("sessions.lineHint") : words.join(", ")}
        onKeyDown={pressed}
        onBlur={() => setChosen(null)}
        style={{ minHeight: height }}
      >
        <svg
          width={width}
          height={height}
          aria-hidden="true"
          onPointerMove={moved}
          onPointerLeave={() => [setDrag(null), setChosen(null)]}
          onPointerDown={(event) => event.pointerType === "mouse" && event.button === 0 && setDrag([place(event)[0], place(event)[0]])}
          onPointerUp={released}
        >
          <defs>
            <pattern id="pause" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
              <line x1="0" y1="0" x2="0" y2="6" stroke="var(--line)" strokeWidth="2" />
            </pattern>
          </defs>
          {[0, 0.5, 1].map((share) => (
            <line key={share} x1={0} x2={width} y1={TOP + CONTEXT * (1 - share)} y2={TOP + CONTEXT * (1 - share)} stroke="var(--line)" />
          ))}
          {line.pauses.map((pause) => {
            const [left, right] = [px(pause.from), px(pause.to)];
            if (right < 0 || left > width) return null;
            return <rect key={pause.from} x={left} y={TOP} width={Math.max(1, right - left)} height={height - TOP} fill="url(#pause)" />;
          })}
          <path d={rectangles(boxes.cached)} fill={series(CACHED)} opacity="0.55" />
          <path d={rectangles(boxes.fresh)} fill={series(FRESH)} />
          {[0.5, 1].map((share) => (
            <text key={share} x={2} y={TOP + CONTEXT * (1 - share) - 3} className="scale">
              {count(top * share, locale)}
              {share === 1 ? ` ${t("sessions.promptUnit")}` : ""}
            </text>
          ))}
          <path d={boxes.missed.map((x) => `M${(x - 4).toFixed(1)} ${TOP + CONTEXT + 8}l4 -7l4 7z`).join("")} fill="var(--bad)" />
          {ticks.map(({ x, text }) => (
            <text key={x} x={x} y={TOP + CONTEXT + AXIS - 3} className="tick">
              {text}
            </text>
          ))}
          {lanes.map(({ agent }, lane) => (
            <g key={agent ?? (agent === null ? " own" : " others")}>
              <line x1={0} x2={width} y1={laneTop + (lane + 1) * LANE - 1} y2={laneTop + (lane + 1) * LANE - 1} stroke="var(--line)" />
              <text x={2} y={laneTop + lane * LANE + 11} className="scale">
                {agentName(agent)}
              </text>
            </g>
          ))}
          {(Object.keys(PART_COLOUR) as Part[]).map((part) => (
            <path key={part} d={rectangles(boxes.parts[part])} fill={series(PART_COLOUR[part])} />
          ))}
          <path d={rectangles(boxes.failed)} fill="var(--bad)" />
          {one !== undefined && (
            <rect className="chosen" x={xOf(one.start_ms) - 1.5} y={TOP} width={Math.max(LEAST_PX, xOf(one.start_ms + (one.response_time_ms ?? 0)) - xOf(one.start_ms)) + 3} height={laneTop + (laneOf(one.agent_id) + 1) * LANE - TOP - 1} rx={2} />
          )}
          {drag !== null && <rect className="dragged" x={Math.min(...drag)} y={TOP} width={Math.abs(drag[1] - drag[0])} height={height - TOP} />}
        </svg>
      </div>
      <div className="session-said" aria-hidden="true">
        {(words.length === 0 ? [t("sessions.lineHint")] : words).map((text, index) => (
          <span key={index} className={index === 0 && words.length > 0 ? "" : "muted"}>
            {text}
          </span>
        ))}
      </div>
    </>
  );
}
