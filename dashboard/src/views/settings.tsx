/** What is watched, what runs, and how it is set: read-only, without secrets. */
import { useMemo, useState } from "react";

import { useFetched } from "../api/query";
import { useSpeech } from "../i18n";
import { type ProgramText, SETTINGS_TEXTS, useProgramTexts } from "../i18n/program";
import { Card } from "../parts/card";
import { Marked } from "../parts/marked";
import { Loaded, Loading } from "../parts/states";
import { AlertsCard, SlosCard } from "../parts/watched";
import { found, inWords, isChanged, type SettingRow, shown } from "../state/settings";

interface SettingsAnswer {
  readonly settings: readonly SettingRow[];
  readonly components: Readonly<Record<string, string>>;
}

function Setting({ row }: { row: SettingRow }) {
  const { locale } = useSpeech();
  const text = shown(row, locale);
  return (
    <div className="setting">
      <dt className="mono">{row.name}</dt>
      <dd className="mono" title={text === String(row.value) ? undefined : String(row.value)}>
        {text}
      </dd>
      <dd className="meaning">
        <Marked text={row.meaning} /> {isChanged(row) && <span className="origin">{row.origin}</span>}
      </dd>
    </div>
  );
}

function AllSettings({ data, text }: { data: SettingsAnswer; text: ProgramText }) {
  const { t } = useSpeech();
  const [words, setWords] = useState("");
  const [changedOnly, setChangedOnly] = useState(false);
  const told = useMemo(() => inWords(data.settings, text), [data, text]);
  const rows = useMemo(() => found(told, words, changedOnly), [told, words, changedOnly]);
  const groups = [...new Set(rows.map(({ group }) => group))];
  const all = words === "" && !changedOnly;
  return (
    <>
      <search className="bar">
        <input className="select wide" type="search" aria-label={t("settings.search")} placeholder={t("settings.search")} value={words} onChange={(event) => setWords(event.target.value)} />
        <button type="button" className="button" aria-pressed={changedOnly} onClick={() => setChangedOnly(!changedOnly)}>
          {t("settings.changed")}
        </button>
      </search>
      {groups.length === 0 && <p className="centre compact">{t("settings.nothing")}</p>}
      <div className="columns-of-cards">
        {groups.map((group) => (
          <Card key={group} title={group} source="/api/v1/settings">
            <dl className="settings">
              {rows
                .filter((row) => row.group === group)
                .map((row) => (
                  <Setting key={row.name} row={row} />
                ))}
            </dl>
          </Card>
        ))}
        {all && (
          <Card title={t("settings.components")}>
            <dl className="settings">
              {Object.entries(data.components).map(([name, version]) => (
                <div className="setting" key={name}>
                  <dt>{name}</dt>
                  <dd className="mono">{version}</dd>
                </div>
              ))}
            </dl>
          </Card>
        )}
      </div>
    </>
  );
}

export default function SettingsView() {
  const answer = useFetched<SettingsAnswer>("/api/v1/settings");
  const text = useProgramTexts(SETTINGS_TEXTS);
  return (
    <Loaded from={answer}>
      {(data) => (
        <>
          <div className="grid watched-cards">
            <SlosCard />
            <AlertsCard />
          </div>
          {text === null ? <Loading /> : <AllSettings data={data} text={text} />}
        </>
      )}
    </Loaded>
  );
}
