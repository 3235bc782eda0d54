/** The last twelve months as a calendar of days: the more, the darker; a press on a day chooses it. */
import { type KeyboardEvent, useMemo, useState } from "react";

import { address } from "../api/client";
import { SUMMED_COLUMNS } from "../api/columns";
import { type Answer, useFetched } from "../api/query";
import { useView } from "../app/view";
import { columnOf } from "../format/columns";
import { unitOf, withUnit } from "../format/numbers";
import { dateIn, fromWall } from "../format/times";
import { useSpeech } from "../i18n";
import { filtersOf } from "../state/search";
import { daysFrom, weekStart } from "../state/week";
import { dayAfter, levelsOf, LEVELS, monthsOf, movedTo, weeksUpTo } from "../state/year";
import { Card } from "./card";
import { metricName } from "./metric_names";
import { weekdayName } from "./names";
import { Empty, Loaded } from "./states";

const EVERY_MS = 300_000;
const HALF = 27; // weeks of the first half: on a narrow page the second stands below it
const PATH = "/api/v1/query";
const ADDS_UP: ReadonlySet<string> = new Set(["requests", ...SUMMED_COLUMNS]);
const MOST_DAYS = 400;

/** Midnight of a day; where clocks skip it, when the day begins. */
const begins = (day: string, zone: string): string => fromWall(`${day}T00:00`, zone) ?? `${day}T00:00:00.000Z`;

interface CalendarProps {
  readonly weeks: readonly (readonly (string | null)[])[];
  readonly values: ReadonlyMap<string, number | null>;
  readonly say: (day: string) => string;
  readonly label: string;
}

function Calendar({ weeks, values, say, label }: CalendarProps) {
  const { t, locale } = useSpeech();
  const { zone, change } = useView();
  const days = useMemo(() => weeks.flat().filter((day) => day !== null), [weeks]);
  const [chosen, setChosen] = useState<string | null>(null);
  const at = chosen === null ? days.length - 1 : Math.max(0, days.indexOf(chosen));
  const level = useMemo(() => levelsOf([...values.values()]), [values]);
  const month = new Intl.DateTimeFormat(locale, { month: "short", timeZone: "UTC" });
  const open = (day: string) => change({ range: `${begins(day, zone)}..${begins(dayAfter(day), zone)}` });
  const press = (event: KeyboardEvent) => {
    const day = days[at];
    if (event.key === "Enter" && day !== undefined) open(day);
    const to = movedTo(event.key, at, days.length);
    if (to === null) return;
    event.preventDefault();
    setChosen(days[to] ?? null);
  };
  const dayOf = (target: EventTarget) => (target instanceof HTMLElement ? target.dataset["day"] : undefined);
  const shown = chosen ?? days.at(-1) ?? "";
  return (
    <>
      <div
        className="year"
        role="slider"
        tabIndex={0}
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={days.length - 1}
        aria-valuenow={at}
        aria-valuetext={say(shown)}
        title={t("chart.yearKeys")}
        onKeyDown={press}
        onPointerOver={(event) => setChosen(dayOf(event.target) ?? chosen)}
        onClick={(event) => {
          const day = dayOf(event.target);
          if (day !== undefined) open(day);
        }}
      >
        {[weeks.slice(0, HALF), weeks.slice(HALF)].map((half, index) => (
          <div key={index} className="half-year" aria-hidden="true">
            {monthsOf(half).map(({ column, day }) => (
              <span key={day} className="month" style={{ gridColumnStart: column + 2 }}>
                {month.format(Date.parse(day))}
              </span>
            ))}
            {daysFrom(weekStart(locale)).map((day, row) =>
              row % 2 === 1 ? (
                <span key={day} className="weekday" style={{ gridRow: row + 2 }}>
                  {weekdayName(day, locale, "short")}
                </span>
              ) : null,
            )}
            {half.flatMap((week, column) =>
              week.map((day, row) =>
                day === null ? null : (
                  <i key={day} data-day={day} title={say(day)} className={`l${level(values.get(day))}${day === chosen ? " chosen" : ""}`} style={{ gridColumn: column + 2, gridRow: row + 2 }} />
                ),
              ),
            )}
          </div>
        ))}
      </div>
      <div className="year-foot">
        <output>{say(shown)}</output>
        <span className="scale" aria-hidden="true">
          {t("chart.less")}
          {Array.from({ length: LEVELS + 1 }, (_, each) => (
            <i key={each} className={`l${each}`} />
          ))}
          {t("chart.more")}
        </span>
      </div>
    </>
  );
}

/** Of the filters of the page, whatever its range is. `metrics`: between which the reader chooses, if there are several. */
export function YearCard({ metrics, className = "" }: { metrics: readonly string[]; className?: string }) {
  const { t, locale } = useSpeech();
  const { search, zone, nowMs } = useView();
  const [wanted, setWanted] = useState<string | null>(null);
  const metric = metrics.find((each) => each === wanted) ?? metrics[0] ?? "requests";
  const today = dateIn(nowMs, zone);
  const start = weekStart(locale);
  const weeks = useMemo(() => weeksUpTo(today, start), [today, start]);
  const parameters = { ...filtersOf(search), metrics: metric, group_by: "time", bucket: "day", timezone: zone, start: begins(weeks[0]?.[0] ?? today, zone), limit: MOST_DAYS };
  const answer = useFetched<Answer>(PATH, parameters, EVERY_MS);
  const { data } = answer;
  const values = useMemo(() => new Map((data?.rows ?? []).map((row) => [dateIn(Date.parse(String(row.key["time"])), zone), row.values[metric]?.value ?? null])), [data, metric, zone]);
  const unit = unitOf(data?.columns, metric);
  const day = useMemo(() => new Intl.DateTimeFormat(locale, { dateStyle: "full", timeZone: "UTC" }), [locale]);
  const show = useMemo(() => columnOf([...values.values()], unit, locale), [values, unit, locale]);
  const say = (each: string) => `${day.format(Date.parse(each))}: ${show(values.get(each) ?? (ADDS_UP.has(metric) ? 0 : null))}`;
  const known = [...values].filter((each): each is [string, number] => each[1] !== null && each[1] > 0);
  const most = known.reduce<[string, number] | undefined>((best, each) => (best === undefined || each[1] > best[1] ? each : best), undefined);
  const label = `${metricName(metric, t)} · ${t("chart.year")}`;
  const short = new Intl.DateTimeFormat(locale, { day: "numeric", month: "long", timeZone: "UTC" });
  return (
    <Card
      title={label}
      className={`year-card ${className}`}
      answer={{ ...answer, address: address(PATH, parameters) }}
      isDrawing
      tools={
        metrics.length > 1 && (
          <div className="segments" role="group" aria-label={t("explore.metric")}>
            {metrics.map((each) => (
              <button key={each} type="button" aria-pressed={each === metric} onClick={() => setWanted(each)}>
                {metricName(each, t)}
              </button>
            ))}
          </div>
        )
      }
    >
      <Loaded from={answer}>
        {() =>
          most === undefined ? (
            <Empty />
          ) : (
            <>
              <p className="hint">
                {ADDS_UP.has(metric)
                  ? t("chart.dayTotal", { total: withUnit(known.reduce((sum, [, value]) => sum + value, 0), unit, locale), day: short.format(Date.parse(most[0])), most: show(most[1]) })
                  : t("chart.dayMost", { day: short.format(Date.parse(most[0])), most: show(most[1]) })}
              </p>
              <Calendar weeks={weeks} values={values} say={say} label={label} />
            </>
          )
        }
      </Loaded>
    </Card>
  );
}
