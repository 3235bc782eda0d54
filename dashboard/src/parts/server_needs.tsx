/** What each kind of server needs so that it tells numbers of its own, and which it tells. */
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";

const QUEUE: readonly Key[] = ["servers.running", "servers.waiting"];
const ALL: readonly Key[] = [...QUEUE, "servers.kvCache", "servers.prefixCache"];
const MODELS: readonly Key[] = ["servers.models"];
/** Programs and flags are the same in every language. */
const ROWS: readonly (readonly [program: string, needs: string | null, tells: readonly Key[]])[] = [
  ["vLLM, NIM, LMDeploy", null, ALL],
  ["SGLang", "--enable-metrics", ALL],
  ["llama.cpp", "--metrics", QUEUE],
  ["TGI, TensorRT-LLM", null, QUEUE],
  ["Triton", 'metrics_url = "http://…:8002/metrics"', [...QUEUE, "servers.kvCache"]],
  ["KoboldCpp", null, QUEUE],
  ["Ollama, LM Studio, LocalAI, llama-swap", null, MODELS],
  ["https://…", "server_metrics = true", []],
];

export function ServerNeeds({ open }: { open: boolean }) {
  const { t } = useSpeech();
  return (
    <details className="card needs" open={open}>
      <summary>{t("servers.needs")}</summary>
      <div className="scroll" tabIndex={0} role="group" aria-label={t("servers.needs")}>
        <table>
          <thead>
            <tr>
              <th scope="col">{t("nav.servers")}</th>
              <th scope="col">{t("servers.needsWhat")}</th>
              <th scope="col">{t("servers.tells")}</th>
            </tr>
          </thead>
          <tbody>
            {ROWS.map(([program, needs, tells]) => (
              <tr key={program}>
                <th scope="row">{program}</th>
                <td>{needs === null ? t("servers.nothing") : <code>{needs}</code>}</td>
                <td>{tells.map((key) => t(key)).join(", ") || "–"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p className="muted">{t("servers.proxySees")}</p>
    </details>
  );
}
