/** The GPUs of the host that answers: how busy, how full, how warm, now and over time. */
import { SERVERS, type GpuShown, type ServersAnswer } from "../api/servers";
import { bytes, percent, rate } from "../format/numbers";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { Card } from "./card";
import { LinesOverTime } from "./over_time";

const COLUMNS: readonly Key[] = ["servers.gpu", "servers.utilisation", "servers.memory", "servers.power", "servers.temperature"];

function Row({ gpu }: { gpu: GpuShown }) {
  const { t, locale } = useSpeech();
  const at = (name: string, over: string) => gpu.now[name] ?? gpu.totals[over] ?? null;
  const [busy, used, all] = [at("utilisation_ratio", "utilisation_ratio_mean"), at("memory_used_bytes", "memory_used_bytes_max"), at("memory_bytes", "memory_bytes_max")];
  const [power, warm] = [at("power_w", "power_w_mean"), at("temperature_c", "temperature_c_max")];
  return (
    <tr>
      <th scope="row">
        <span className="name">{gpu.name}</span>
      </th>
      <td className="number">
        {percent(busy, locale)}
        {busy !== null && <meter min={0} max={1} value={busy} aria-label={t("servers.utilisation")} />}
      </td>
      <td className="number">
        {used === null || all === null ? bytes(used, locale) : t("servers.memoryOf", { used: bytes(used, locale), all: bytes(all, locale) })}
        {used !== null && all !== null && all > 0 && <meter min={0} max={1} value={used / all} aria-label={t("servers.memory")} />}
      </td>
      <td className="number">{power === null ? "–" : `${rate(power, locale)} W`}</td>
      <td className="number">{warm === null ? "–" : `${rate(warm, locale)} °C`}</td>
    </tr>
  );
}

export function Gpus({ answer }: { answer: ServersAnswer }) {
  const { t } = useSpeech();
  if (answer.gpus.length === 0) return null;
  const title = t("servers.gpus", { host: answer.host });
  const memory = (gpu: GpuShown) => (gpu.series["memory_used_bytes_max"] ?? []).map((used, index) => (used === null ? null : used / (gpu.series["memory_bytes_max"]?.[index] || Number.NaN) || null));
  return (
    <>
      <Card title={title} source={SERVERS}>
        <div className="scroll" tabIndex={0} role="group" aria-label={title}>
          <table className="watched">
            <thead>
              <tr>
                {COLUMNS.map((key, index) => (
                  <th key={key} scope="col" className={index === 0 ? "" : "number"}>
                    {t(key)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {answer.gpus.map((gpu) => (
                <Row key={gpu.name} gpu={gpu} />
              ))}
            </tbody>
          </table>
        </div>
      </Card>
      <LinesOverTime title={t("servers.utilisation")} label={`${title}: ${t("servers.utilisation")}`} className="half" source={SERVERS} times={answer.times} show={percent} lines={answer.gpus.map((gpu) => ({ name: gpu.name, values: gpu.series["utilisation_ratio_mean"] }))} />
      <LinesOverTime title={t("servers.memory")} label={`${title}: ${t("servers.memory")}`} className="half" source={SERVERS} times={answer.times} show={percent} lines={answer.gpus.map((gpu) => ({ name: gpu.name, values: memory(gpu) }))} />
    </>
  );
}
