/** Which formulas calculated what is stored, what changed between them, and the migrations that ran or run. */
import { useFetched } from "../api/query";
import type { components } from "../api/schema";
import { useView } from "../app/view";
import { count, duration } from "../format/numbers";
import { moment } from "../format/times";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { Bars } from "../parts/bars";
import { Card } from "../parts/card";
import { Marked } from "../parts/marked";
import { Loaded } from "../parts/states";

type Versions = components["schemas"]["Versions"];

const EVERY_MS = 5000;
const SOURCE = "/api/v1/versions";

const RUN_COLUMNS: readonly (readonly [Key, boolean])[] = [
  ["versions.run", false],
  ["versions.state", false],
  ["versions.to", false],
  ["table.time", false],
  ["versions.changed", true],
  ["versions.speed", true],
  ["versions.backup", false],
  ["versions.kept", false],
];

function Notices({ versions }: { versions: Versions }) {
  return versions.notices.map((notice) => (
    <div className={notice.attention ? "note bad" : "note"} key={`${notice.kind} ${notice.run_id ?? ""}`}>
      <strong>{notice.title}</strong>
      {notice.text.map((paragraph) => (
        <p key={paragraph}>{paragraph}</p>
      ))}
      <p className="muted">{notice.to_do}</p>
    </div>
  ));
}

function Records({ versions }: { versions: Versions }) {
  const { t, locale } = useSpeech();
  const entries = Object.entries(versions.records_by_version);
  const all = entries.reduce((sum, [, n]) => sum + n, 0);
  return (
    <Card title={t("versions.records")} className="third" source={SOURCE} table={{ head: ["app_version", "records"], rows: entries }}>
      <Bars label={t("versions.records")} rows={entries.map(([version, n]) => ({ name: version, text: count(n, locale), share: all === 0 ? 0 : n / all }))} />
    </Card>
  );
}

function Runs({ versions }: { versions: Versions }) {
  const { t, locale } = useSpeech();
  const { zone } = useView();
  return (
    <Card title={t("versions.runs")} className="two-thirds" source={SOURCE}>
      {versions.migrations.length === 0 ? (
        <p className="muted">{t("versions.noRuns")}</p>
      ) : (
        <div className="scroll" tabIndex={0} role="group" aria-label={t("versions.runs")}>
          <table className="runs">
            <thead>
              <tr>
                {RUN_COLUMNS.map(([key, number]) => (
                  <th key={key} scope="col" className={number ? "number" : ""}>
                    {t(key)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {versions.migrations.map((run) => (
                <tr key={run.id}>
                  <td>{run.id}</td>
                  <td>{run.state}</td>
                  <td>{run.to_version}</td>
                  <td>{moment(run.started_at, locale, zone)}</td>
                  <td className="number">{count(run.records_changed, locale)}</td>
                  <td className="number">
                    {run.busy_ms > 0 ? count(run.records_changed / (run.busy_ms / 1000), locale) : "–"} · {duration(run.busy_ms, locale)}
                  </td>
                  <td className="mono">{run.backup ?? "–"}</td>
                  <td>
                    <span className="mono">{run.kept_table ?? "–"}</span>
                    {run.kept_until !== null && <span className="muted"> → {moment(run.kept_until, locale, zone)}</span>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}

export default function VersionsView() {
  const { t } = useSpeech();
  const answer = useFetched<Versions>(SOURCE, {}, EVERY_MS);
  return (
    <Loaded from={answer}>
      {(versions) => (
        <>
          <p className="lead">{t("versions.current", { version: versions.app_version })}</p>
          <Notices versions={versions} />
          <div className="grid">
            <Records versions={versions} />
            <Runs versions={versions} />
            <Card title={t("versions.history")} source={SOURCE}>
              <dl className="history">
                {versions.history.toReversed().map((note) => (
                  <div key={note.version}>
                    <dt>{note.version}</dt>
                    <dd>
                      <code className="formula mono">tokens_per_second = {note.tokens_per_second}</code>
                      <Marked text={note.changes} />
                      {note.breaking_changes?.map((change) => (
                        <p key={change}>
                          <Marked text={change} />
                        </p>
                      ))}
                    </dd>
                  </div>
                ))}
              </dl>
            </Card>
          </div>
        </>
      )}
    </Loaded>
  );
}
