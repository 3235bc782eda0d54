/** One record: its timeline, every fact, and the question that shows it again. */
import { useEffect, useRef, useState } from "react";

import { address } from "../api/client";
import { useFetched } from "../api/query";
import { useSession } from "../app/session";
import { useView } from "../app/view";
import { duration } from "../format/numbers";
import { moment } from "../format/times";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { Bars } from "../parts/bars";
import { copy, curl } from "../parts/copy";
import { Loaded } from "../parts/states";
import { waterfall } from "../state/waterfall";

type Value = string | number | boolean | null | Readonly<Record<string, string>>;
type RecordRow = Readonly<Record<string, Value>>;

/** What did not fit its column is an object: SQL literals by column. */
const text = (value: Value): string => (value !== null && typeof value === "object" ? Object.entries(value).map(([column, literal]) => `${column} = ${literal}`).join(", ") : String(value));

function Timeline({ record }: { record: RecordRow }) {
  const { t, locale } = useSpeech();
  const bars = waterfall(record);
  const total = bars.at(-1)?.endMs ?? 0;
  if (total === 0) return null;
  const rows = bars.map((bar, index) => ({
    name: t(`phase.${bar.phase}` as Key),
    text: duration(bar.endMs - bar.startMs, locale),
    from: bar.startMs / total,
    share: (bar.endMs - bar.startMs) / total,
    colour: index,
  }));
  return <Bars className="waterfall" label={t("request.timeline")} rows={rows} />;
}

export default function RequestDetail({ id }: { id: string }) {
  const { t, locale } = useSpeech();
  const { change, zone } = useView();
  const dialog = useRef<HTMLDialogElement>(null);
  const session = useSession();
  const [copied, setCopied] = useState(false);
  const answer = useFetched<RecordRow>(`/api/v1/requests/${encodeURIComponent(id)}`);
  useEffect(() => dialog.current?.showModal(), []);
  const take = () => void copy(curl(address(`/api/v1/requests/${encodeURIComponent(id)}`), session.data?.signed_in === true)).then(() => setCopied(true));
  return (
    <dialog ref={dialog} className="detail" aria-label={t("request.facts")} onClose={() => change({ id: undefined })}>
      <div className="bar">
        <h2 className="mono">{id}</h2>
        <button type="button" className="button" onClick={take}>
          {t(copied ? "table.copied" : "table.copyCurl")}
        </button>
        <button type="button" className="button" onClick={() => dialog.current?.close()}>
          {t("request.close")}
        </button>
      </div>
      <Loaded from={answer}>
        {(record) => (
          <>
            <p className="muted">{moment(String(record["timestamp"]), locale, zone)}</p>
            <Timeline record={record} />
            <table className="facts">
              <tbody>
                {Object.entries(record)
                  .filter(([, value]) => value !== null)
                  .map(([name, value]) => (
                    <tr key={name}>
                      <th scope="row">{name}</th>
                      <td className="mono">{text(value)}</td>
                    </tr>
                  ))}
              </tbody>
            </table>
          </>
        )}
      </Loaded>
    </dialog>
  );
}
