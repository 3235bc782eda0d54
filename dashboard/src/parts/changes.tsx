/** What changed since the period before: the few segments that moved most, and shifts of traffic, which are no change. */
import { type Change, type Changes, type Movement, type Segment, useChanges, type Word } from "../api/changes";
import { useComparable } from "../api/query";
import { useFilterLabel } from "../app/filters";
import { useView } from "../app/view";
import { count, percent, withUnit } from "../format/numbers";
import { clock } from "../format/times";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { written } from "../state/conditions";
import { type FilterName, FILTER_NAMES } from "../state/search";
import { Card } from "./card";
import { Loaded } from "./states";

const WORDS: Readonly<Record<string, Key>> = {
  "time_to_first_token_ms.mean": "changes.ttft",
  "response_time_ms.mean": "changes.responseTime",
  "output_tokens_per_second.mean": "changes.speed",
  error_rate: "changes.errors",
  "cost_per_request_usd": "changes.cost",
};

function useWords() {
  const { t, locale } = useSpeech();
  const label = useFilterLabel();
  const word = (value: Word) => (value === null ? t("table.none") : String(value));
  return {
    metric: (name: string) => t(WORDS[name] ?? "changes.title"),
    segment: (segment: Segment) => Object.entries(segment).map(([name, value]) => `${label(name)} ${word(value)}`).join(" · "),
    label,
    word,
    value: (of: { unit: string; metric: string }, value: number | null) => withUnit(value, of.metric === "error_rate" ? "ratio" : of.unit, locale),
    moved: (of: { metric: string; change: number }) => {
      const sign = of.change > 0 ? "+" : "−";
      const size = Math.abs(of.change);
      return of.metric === "error_rate" ? t("changes.points", { n: `${sign}${(size * 100).toLocaleString(locale, { maximumFractionDigits: 1 })}` }) : `${sign}${percent(size, locale)}`;
    },
  };
}

function SegmentName({ segment }: { segment: Segment }) {
  const { t } = useSpeech();
  const { change } = useView();
  const words = useWords();
  const names = Object.keys(segment);
  if (names.length === 0) return <strong>{t("changes.all")}</strong>;
  const filters = Object.fromEntries(Object.entries(segment).map(([name, value]) => [name, written(String(value))]));
  if (!names.every((name) => FILTER_NAMES.includes(name as FilterName))) return <strong>{words.segment(segment)}</strong>;
  return (
    <button type="button" className="link" onClick={() => change(filters)} title={words.segment(segment)}>
      {words.segment(segment)}
    </button>
  );
}

function Line({ one }: { one: Change }) {
  const { t, locale } = useSpeech();
  const words = useWords();
  const shift = one.kind === "shift";
  return (
    <>
      <tr>
        <td className={`number ${shift ? "muted" : one.good ? "up-good" : "up-bad"}`}>
          <span aria-hidden="true">{one.change > 0 ? "▲" : "▼"}</span> {words.moved(one)}
        </td>
        <th scope="row">
          {words.metric(one.metric)} {shift && <span className="chip">{t("changes.shift")}</span>}
        </th>
        <td className="number">
          {words.value(one, one.before)} → {words.value(one, one.after)}
        </td>
        <td className="number muted">{t("changes.counts", { before: count(one.n_before, locale), n: count(one.n, locale) })}</td>
      </tr>
      {shift && one.by !== null && (
        <tr>
          <td />
          <td colSpan={3} className="muted">
            {t("changes.shiftMeans")}: {one.parts.map((part) => `${words.label(one.by ?? "")} ${words.word(part.value)} ${percent(part.share_before, locale)} → ${percent(part.share, locale)}`).join(", ")}
          </td>
        </tr>
      )}
    </>
  );
}

/** What is told of one segment stands together: a model that got slower is slower in several numbers. */
function bySegment(changes: readonly Change[]): readonly (readonly Change[])[] {
  const found = new Map<string, Change[]>();
  for (const one of changes) {
    const key = JSON.stringify(one.segment);
    const group = found.get(key);
    if (group === undefined) found.set(key, [one]);
    else group.push(one);
  }
  return [...found.values()];
}

function Told({ group }: { group: readonly Change[] }) {
  const { t } = useSpeech();
  const words = useWords();
  const first = group[0];
  if (first === undefined) return null;
  const same = new Set(group.flatMap((one) => one.same.map(words.segment)));
  const explains = Math.max(...group.map((one) => one.explains));
  const more = [...(same.size > 0 ? [t("changes.same", { names: [...same].join(", ") })] : []), ...(explains > 0 ? [t("changes.explains", { n: explains })] : [])];
  return (
    <li>
      <p>
        <SegmentName segment={first.segment} /> <span className="muted">{more.join(" · ")}</span>
      </p>
      <table>
        <tbody>
          {group.map((one) => (
            <Line key={one.metric + one.kind} one={one} />
          ))}
        </tbody>
      </table>
    </li>
  );
}

/** All requests together: what is change, and what is mix. Both add up to how far the number moved. */
function Overall({ rows }: { rows: readonly Movement[] }) {
  const { t } = useSpeech();
  const words = useWords();
  if (rows.length === 0) return null;
  return (
    <details>
      <summary>{t("changes.all")}</summary>
      <div className="scroll table-box" tabIndex={0} role="group" aria-label={t("changes.all")}>
        <table>
          <thead>
            <tr>
              <th scope="col">{t("explore.metric")}</th>
              {(["changes.before", "changes.now", "changes.moved", "changes.byChange", "changes.byMix"] as const).map((key) => (
                <th key={key} scope="col" className="number">
                  {t(key)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.metric}>
                <th scope="row">{words.metric(row.metric)}</th>
                <td className="number">{words.value(row, row.before)}</td>
                <td className="number">{words.value(row, row.after)}</td>
                <td className="number">{words.moved(row)}</td>
                <td className="number">{part(row, row.within, words.moved)}</td>
                <td className="number">{part(row, row.mix, words.moved)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

/** As much of the movement, in the same unit as all of it. */
function part(row: Movement, value: number | null, moved: (of: { metric: string; change: number }) => string): string {
  if (value === null || (row.metric !== "error_rate" && row.before === 0)) return "–";
  return moved({ metric: row.metric, change: row.metric === "error_rate" ? value : value / row.before });
}

function Body({ data }: { data: Changes }) {
  const { t, locale } = useSpeech();
  const { range, zone } = useView();
  const label = useFilterLabel();
  const nothing = data.tested === 0 ? "changes.tooFew" : "changes.none";
  return (
    <div className="scroll told" tabIndex={0} role="group" aria-label={t("changes.title")}>
      {data.changes.length === 0 ? (
        <p className="nothing">{t(nothing)}</p>
      ) : (
        <ul className="changes">
          {bySegment(data.changes).map((group, index) => (
            <Told key={index} group={group} />
          ))}
        </ul>
      )}
      <Overall rows={data.overall} />
      {data.not_looked_at.length > 0 && <p className="muted">{t("changes.missed", { names: data.not_looked_at.map(label).join(", ") })}</p>}
      <p className="muted small">
        {data.tested > 0 && t("changes.compared", { n: count(data.tested, locale), rate: percent(data.false_alarm_rate, locale) })}
        {data.end !== null && range.kind === "relative" && ` ${t("live.updated", { time: clock(Date.parse(data.end), locale, zone) })}`}
      </p>
    </div>
  );
}

export function ChangesCard() {
  const { t } = useSpeech();
  const comparable = useComparable();
  const answer = useChanges();
  return (
    <Card title={t("changes.title")} className="two-thirds whatchanged" source="/api/v1/changes">
      {comparable ? <Loaded from={answer}>{(data) => <Body data={data} />}</Loaded> : <p className="nothing">{t("changes.open")}</p>}
    </Card>
  );
}
