/** Which formulas calculated what is stored, what changed between them, and the migrations that ran or run. */
import { useFetched } from "../api/query";
import type { components } from "../api/schema";
import { useView } from "../app/view";
import { count, duration } from "../format/numbers";
import { moment } from "../format/times";
import { useSpeech } from "../i18n";
import { Card } from "../parts/card";
import { Loaded } from "../parts/states";

type Versions = components["schemas"]["Versions"];

const EVERY_MS = 5000;

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
    <Card title={t("versions.records")} className="half" table={{ head: ["app_version", "records"], rows: entries }}>
      <ul className="bars">
        {entries.map(([version, n]) => (
          <li key={version}>
            <span>{version}</span>
            <meter min={0} max={all} value={n} aria-label={version} />
            <span className="number">{count(n, locale)}</span>
          </li>
        ))}
      </ul>
    </Card>
  );
}

function Runs({ versions }: { versions: Versions }) {
  const { t, locale } = useSpeech();
  const { zone } = useView();
  return (
    <Card title={t("versions.runs")}>
      {versions.migrations.length === 0 ? (
        <p className="muted">–</p>
      ) : (
        <div className="scroll" tabIndex={0} role="region" aria-label={t("versions.runs")}>
          <table>
            <thead>
              <tr>
                {["#", "state", "to", t("table.time"), t("metric.requests"), "records/s", "backup"].map((name) => (
                  <th key={name} scope="col">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {versions.migrations.map((run) => (
                <tr key={run.id}>
                  <td className="number">{run.id}</td>
                  <td>{run.state}</td>
                  <td>{run.to_version}</td>
                  <td>{moment(run.started_at, locale, zone)}</td>
                  <td className="number">{count(run.records_changed, locale)}</td>
                  <td className="number">{run.busy_ms > 0 ? count(run.records_changed / (run.busy_ms / 1000), locale) : "–"} · {duration(run.busy_ms, locale)}</td>
                  <td className="mono">{run.backup ?? "–"}</td>
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
  const answer = useFetched<Versions>("/api/v1/versions", {}, EVERY_MS);
  return (
    <Loaded from={answer}>
      {(versions) => (
        <>
          <p className="lead">{t("versions.current", { version: versions.app_version })}</p>
          <Notices versions={versions} />
          <div className="grid">
            <Records versions={versions} />
            <Card title={t("versions.history")} className="half">
              <dl className="history">
                {versions.history.toReversed().map((note) => (
                  <div key={note.version}>
                    <dt>{note.version}</dt>
                    <dd>
                      {note.changes}
                      {note.breaking_changes?.map((change) => <p key={change}>{change}</p>)}
                    </dd>
                  </div>
                ))}
              </dl>
            </Card>
            <Runs versions={versions} />
          </div>
        </>
      )}
    </Loaded>
  );
}
