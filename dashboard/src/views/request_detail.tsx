/** One record: what happened in a sentence, where its time went, what there is to know of it, and what leads on from it. */
import { Link } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";

import { address } from "../api/client";
import { useFetched } from "../api/query";
import { useSession } from "../app/session";
import { useView } from "../app/view";
import { duration, usd, withUnit } from "../format/numbers";
import { moment } from "../format/times";
import { type Speech, useSpeech } from "../i18n";
import { copy, curl } from "../parts/copy";
import { Loaded } from "../parts/states";
import { Waterfall } from "../parts/waterfall";
import { askerOf, endingOf, type Fact, factsOf, type RecordRow, type Value } from "./record_facts";

/** What did not fit its column is an object: SQL literals by column. */
const text = (value: Value): string => (value !== null && typeof value === "object" ? Object.entries(value).map(([column, literal]) => `${column} = ${literal}`).join(", ") : String(value));

const exact = (value: number, locale: string) => value.toLocaleString(locale);

/** `gpt-4o answered in 2.1 s, 1,204 tokens in, 312 out, for alice, $0.004` */
function sentence(record: RecordRow, t: Speech["t"], locale: string): string {
  const number = (column: string) => (typeof record[column] === "number" ? record[column] : null);
  const ending = endingOf(record);
  const values = { model: text(record["model"] ?? t("request.someModel")), time: duration(number("response_time_ms"), locale) };
  const [tokensIn, tokensOut, cost, who] = [number("prompt_tokens"), number("completion_tokens"), number("cost_usd"), askerOf(record)];
  const parts = [
    ending === "answered" ? t("request.answered", values) : ending === "left" ? t("request.left", values) : t("request.failed", { ...values, why: text(record["error_type"] ?? record["outcome"] ?? "–") }),
    tokensIn === null ? "" : t("request.tokensIn", { n: exact(tokensIn, locale) }),
    tokensOut === null ? "" : t("request.tokensOut", { n: exact(tokensOut, locale) }),
    who === null ? "" : t("request.forWhom", { who }),
    cost === null ? "" : usd(cost, locale),
  ];
  return new Intl.ListFormat(locale, { type: "unit", style: "short" }).format(parts.filter((part) => part !== ""));
}

/** Where a fact leads: a session to its own page, everything else to the requests that share it. */
function FactValue({ fact, record }: { fact: Fact; record: RecordRow }) {
  const { locale } = useSpeech();
  const value = record[fact.column] ?? null;
  if (fact.unit !== undefined && typeof value === "number") return fact.unit === "count" ? exact(value, locale) : withUnit(value, fact.unit, locale);
  if (fact.filter !== true) return text(value);
  const [to, key] = fact.column === "session_id" ? (["/sessions", "session"] as const) : ([fact.column === "model" ? "/models" : "/requests", fact.column] as const);
  return (
    <Link to={to} search={(before: Record<string, unknown>) => ({ ...before, id: undefined, [key]: text(value) }) as never}>
      {text(value)}
    </Link>
  );
}

function Facts({ record }: { record: RecordRow }) {
  const { t } = useSpeech();
  return (
    <div className="facts">
      {factsOf(record).map(({ title, facts }) => (
        <section key={title}>
          <h3>{t(title)}</h3>
          <dl>
            {facts.map((fact) => (
              <div key={fact.column}>
                <dt>{t(fact.label)}</dt>
                <dd>
                  <FactValue fact={fact} record={record} />
                </dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
    </div>
  );
}

/** As it is stored, by the API's own names. */
function AllFields({ record }: { record: RecordRow }) {
  const { t } = useSpeech();
  return (
    <details className="all-fields">
      <summary>{t("request.allFields")}</summary>
      <table>
        <tbody>
          {Object.entries(record)
            .filter(([, value]) => value !== null)
            .map(([name, value]) => (
              <tr key={name}>
                <th scope="row" className="mono">
                  {name}
                </th>
                <td className="mono">{text(value)}</td>
              </tr>
            ))}
        </tbody>
      </table>
    </details>
  );
}

export default function RequestDetail({ id }: { id: string }) {
  const { t, locale } = useSpeech();
  const { change, zone } = useView();
  const dialog = useRef<HTMLDialogElement>(null);
  const session = useSession();
  const [copied, setCopied] = useState(false);
  const path = `/api/v1/requests/${encodeURIComponent(id)}`;
  const answer = useFetched<RecordRow>(path);
  useEffect(() => dialog.current?.showModal(), []);
  const take = () => void copy(curl(address(path), session.data?.signed_in === true)).then(() => setCopied(true));
  const ending = answer.data === undefined ? null : endingOf(answer.data);
  return (
    <dialog ref={dialog} className="detail" aria-label={t("request.facts")} onClose={() => change({ id: undefined })}>
      <header>
        <div>
          <h2>{answer.data === undefined ? "…" : sentence(answer.data, t, locale)}</h2>
          {answer.data !== undefined && (
            <p className="muted">
              <span className={`dot ${ending === "answered" ? "good" : ending === "left" ? "warn" : "bad"}`} />
              {moment(String(answer.data["timestamp"]), locale, zone)}
              {answer.data["is_streaming"] === true ? ` · ${t("nav.streaming")}` : ` · ${t("nav.nonStreaming")}`}
            </p>
          )}
        </div>
        <button type="button" className="button bare close" aria-label={t("request.close")} onClick={() => dialog.current?.close()}>
          ×
        </button>
      </header>
      <Loaded from={answer}>
        {(record) => (
          <>
            <Waterfall record={record} />
            <Facts record={record} />
            <AllFields record={record} />
          </>
        )}
      </Loaded>
      <footer>
        <button type="button" className="button" onClick={take}>
          {t(copied ? "table.copied" : "table.copyCurl")}
        </button>
      </footer>
    </dialog>
  );
}
