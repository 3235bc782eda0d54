/** What is watched, what runs, and how it is set: read-only, without secrets. */
import { useFetched } from "../api/query";
import { useSpeech } from "../i18n";
import { Card } from "../parts/card";
import { Marked } from "../parts/marked";
import { Loaded } from "../parts/states";
import { AlertsCard, SlosCard } from "../parts/watched";

interface SettingRow {
  readonly name: string;
  readonly group: string;
  readonly value: string | number | boolean | null;
  readonly origin: string;
  readonly meaning: string;
}
interface SettingsAnswer {
  readonly settings: readonly SettingRow[];
  readonly components: Readonly<Record<string, string>>;
}

export default function SettingsView() {
  const { t } = useSpeech();
  const answer = useFetched<SettingsAnswer>("/api/v1/settings");
  return (
    <Loaded from={answer}>
      {(data) => {
        const groups = [...new Set(data.settings.map(({ group }) => group))];
        return (
          <>
            <div className="grid watched-cards">
              <SlosCard />
              <AlertsCard />
            </div>
            <div className="columns-of-cards">
              {groups.map((group) => (
                <Card key={group} title={group} source="/api/v1/settings">
                  <table>
                    <tbody>
                      {data.settings
                        .filter((row) => row.group === group)
                        .map((row) => (
                          <tr key={row.name}>
                            <th scope="row">
                              <span className="mono">{row.name}</span>
                              <p className="meaning">
                                <Marked text={row.meaning} />
                              </p>
                            </th>
                            <td className="mono">
                              {row.value === null ? "–" : String(row.value)}
                              <p className="meaning">{row.origin}</p>
                            </td>
                          </tr>
                        ))}
                    </tbody>
                  </table>
                </Card>
              ))}
              <Card title={t("settings.components")}>
                <table>
                  <tbody>
                    {Object.entries(data.components).map(([name, version]) => (
                      <tr key={name}>
                        <th scope="row">{name}</th>
                        <td className="mono">{version}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </Card>
            </div>
          </>
        );
      }}
    </Loaded>
  );
}
