/** How popular clients are pointed at the proxy: what to set, and where. Pure; tried as docs/topics/clients.md says. */

export interface OwnClient {
  readonly id: string;
  readonly name: string;
  /** Where the text belongs: a file, or a command line. */
  readonly where: string;
  readonly text: (proxy: string, model: string) => string;
}

const SHELL = "shell";

export const OWN_CLIENTS: readonly OwnClient[] = [
  {
    id: "curl",
    name: "curl",
    where: SHELL,
    text: (proxy, model) => `curl ${proxy}/v1/chat/completions \\
  -H 'Content-Type: application/json' \\
  -H "Authorization: Bearer $OPENAI_API_KEY" \\
  -d '{"model": "${model}", "messages": [{"role": "user", "content": "Hello"}]}'`,
  },
  {
    id: "openai-python",
    name: "OpenAI Python",
    where: "Python",
    text: (proxy, model) => `from openai import OpenAI

client = OpenAI(base_url="${proxy}/v1")  # or OPENAI_BASE_URL=${proxy}/v1
answer = client.chat.completions.create(
    model="${model}",
    messages=[{"role": "user", "content": "Hello"}],
)`,
  },
  {
    id: "openai-js",
    name: "OpenAI JS",
    where: "JavaScript",
    text: (proxy, model) => `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${proxy}/v1" }); // or OPENAI_BASE_URL=${proxy}/v1
const answer = await client.chat.completions.create({
  model: "${model}",
  messages: [{ role: "user", content: "Hello" }],
});`,
  },
  { id: "claude-code", name: "Claude Code", where: SHELL, text: (proxy) => `ANTHROPIC_BASE_URL=${proxy} claude` },
  {
    id: "codex",
    name: "Codex",
    where: "~/.codex/config.toml",
    text: (proxy) => `model_provider = "proxy"

[model_providers.proxy]
name = "proxy"
base_url = "${proxy}/v1"
wire_api = "responses"
env_key = "OPENAI_API_KEY"`,
  },
  {
    id: "anthropic",
    name: "Anthropic Python",
    where: "Python",
    text: (proxy) => `from anthropic import Anthropic

client = Anthropic(base_url="${proxy}")  # or ANTHROPIC_BASE_URL=${proxy}`,
  },
  {
    id: "langchain",
    name: "LangChain",
    where: "Python",
    text: (proxy, model) => `from langchain_openai import ChatOpenAI

llm = ChatOpenAI(model="${model}", base_url="${proxy}/v1", stream_usage=True)`,
  },
  { id: "open-webui", name: "Open WebUI", where: SHELL, text: (proxy) => `OPENAI_API_BASE_URL=${proxy}/v1 open-webui serve` },
  {
    id: "continue",
    name: "Continue",
    where: "~/.continue/config.yaml",
    text: (proxy, model) => `models:
  - name: proxy
    provider: openai
    model: ${model}
    apiBase: ${proxy}/v1`,
  },
  { id: "cline", name: "Cline", where: SHELL, text: (proxy, model) => `cline auth -p openai-compatible -b ${proxy}/v1 -k "$OPENAI_API_KEY" -m ${model}` },
  { id: "cursor", name: "Cursor", where: "Settings → Models → Override OpenAI Base URL", text: (proxy) => `${proxy}/v1` },
];

const ANY = /^(0\.0\.0\.0|\[::\])$/;

/** The proxy's address as this browser's machine can name it: one that listens everywhere is where the page came from. */
export function reachable(proxy: string, pageHost: string): string {
  if (proxy === "") return "http://127.0.0.1:8001";
  const url = new URL(proxy);
  if (ANY.test(url.hostname)) url.hostname = pageHost;
  return url.origin;
}
