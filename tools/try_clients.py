"""Try clients through the proxy, in front of a small fake server, and print what the records show of each.

    python -m tools.try_clients                                          those of the Python that runs this
    python -m tools.try_clients --python /a/venv/bin/python              those of another one
    python -m tools.try_clients --node-modules /a/folder/node_modules    those of Node

A client that is not installed there is said to be so. Exit 1 if one was answered wrongly or left a poor record.
``docs/topics/clients.md`` has the settings in words.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.proxy.client import get
from tests.proxy.harness import ProxyWorker
from tests.upstream import (
    CHUNKED,
    LAST_CHUNK,
    FakeUpstream,
    Request,
    Script,
    Send,
    chunk,
    head,
    json_response,
    openai_handler,
    sse,
    stream_script,
)

from llm_metrics_proxy.record import RequestRecord

MODEL: Final = "fake-1"
_SAID: Final = "Hello there!"
_MISSING: Final = ("ModuleNotFoundError", "ERR_MODULE_NOT_FOUND", "Cannot find module", "ENOENT")


class TriedClient(NamedTuple):
    """``code`` asks for ``MODEL`` at ``BASE``, an address without a path, and prints the answer."""

    name: str
    code: str
    is_node: bool = False


PYTHON: Final = (
    TriedClient("openai, chat", """
from openai import OpenAI
with OpenAI(base_url=f"{BASE}/v1", api_key="k").chat.completions.stream(
    model=MODEL, messages=[{"role": "user", "content": "Hi"}], stream_options={"include_usage": True}
) as stream:
    print(stream.get_final_completion().choices[0].message.content)
"""),
    TriedClient("openai, responses", """
from openai import OpenAI
events = OpenAI(base_url=f"{BASE}/v1", api_key="k").responses.create(model=MODEL, input="Hi", stream=True)
print("".join(event.delta for event in events if event.type == "response.output_text.delta"))
"""),
    TriedClient("anthropic", """
from anthropic import Anthropic
with Anthropic(base_url=BASE, api_key="k").messages.stream(
    model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "Hi"}]
) as stream:
    print(stream.get_final_text())
"""),
    TriedClient("ollama", """
from ollama import Client
parts = Client(host=BASE).chat(model=MODEL, messages=[{"role": "user", "content": "Hi"}], stream=True)
print("".join(part.message.content for part in parts))
"""),
    TriedClient("langchain-openai", """
from langchain_openai import ChatOpenAI
model = ChatOpenAI(model=MODEL, base_url=f"{BASE}/v1", api_key="k", stream_usage=True)
print("".join(part.text for part in model.stream("Hi")))
"""),
    TriedClient("langchain-anthropic", """
from langchain_anthropic import ChatAnthropic
model = ChatAnthropic(model=MODEL, base_url=BASE, api_key="k", max_tokens=9)
print("".join(part.text for part in model.stream("Hi")))
"""),
    TriedClient("langchain-ollama", """
from langchain_ollama import ChatOllama
print("".join(part.text for part in ChatOllama(model=MODEL, base_url=BASE).stream("Hi")))
"""),
    TriedClient("llama-index-llms-openai-like", """
from llama_index.llms.openai_like import OpenAILike
model = OpenAILike(model=MODEL, api_base=f"{BASE}/v1", api_key="k", is_chat_model=True,
                   additional_kwargs={"stream_options": {"include_usage": True}})
from llama_index.core.llms import ChatMessage
print("".join(part.delta or "" for part in model.stream_chat([ChatMessage(role="user", content="Hi")])))
"""),
    TriedClient("litellm, openai", """
import litellm
parts = litellm.completion(model=f"openai/{MODEL}", api_base=f"{BASE}/v1", api_key="k", stream=True,
                           messages=[{"role": "user", "content": "Hi"}], stream_options={"include_usage": True})
print("".join(part.choices[0].delta.content or "" for part in parts if part.choices))
"""),
    TriedClient("litellm, anthropic", """
import litellm
parts = litellm.completion(model=f"anthropic/{MODEL}", api_base=BASE, api_key="k", stream=True,
                           messages=[{"role": "user", "content": "Hi"}])
print("".join(part.choices[0].delta.content or "" for part in parts if part.choices))
"""),
    TriedClient("llm", """
import os, pathlib, sys, tempfile
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "extra-openai-models.yaml").write_text(
    f"- model_id: {MODEL}\\n  model_name: {MODEL}\\n  api_base: {BASE}/v1\\n  api_key_name: fake\\n")
os.environ["LLM_USER_PATH"] = str(folder)
from llm.cli import cli
sys.argv = ["llm", "-m", MODEL, "--key", "k", "--no-log", "Hi"]
cli()
"""),
    TriedClient("aider", """
import os, sys, tempfile
os.chdir(tempfile.mkdtemp())
os.environ.update(OPENAI_API_BASE=f"{BASE}/v1", OPENAI_API_KEY="k", AIDER_ANALYTICS="false")
sys.argv = ["aider", "--model", f"openai/{MODEL}", "--message", "Hi", "--no-git", "--yes-always", "--no-check-update",
            "--no-show-model-warnings", "--no-pretty", "--no-detect-urls", "--map-tokens", "0"]
from aider.main import main
main()
"""),
)  # fmt: skip

NODE: Final = (
    TriedClient("openai (Node), chat", """
import OpenAI from "openai";
const stream = await new OpenAI({ baseURL: `${BASE}/v1`, apiKey: "k" }).chat.completions.create({
  model: MODEL, messages: [{ role: "user", content: "Hi" }], stream: true, stream_options: { include_usage: true } });
let text = "";
for await (const part of stream) text += part.choices[0]?.delta?.content ?? "";
console.log(text);
""", is_node=True),
    TriedClient("@anthropic-ai/sdk (Node)", """
import Anthropic from "@anthropic-ai/sdk";
const stream = new Anthropic({ baseURL: BASE, apiKey: "k" }).messages.stream({
  model: MODEL, max_tokens: 9, messages: [{ role: "user", content: "Hi" }] });
console.log(await stream.finalText());
""", is_node=True),
    TriedClient("ollama (Node)", """
import { Ollama } from "ollama";
const stream = await new Ollama({ host: BASE }).chat({
  model: MODEL, messages: [{ role: "user", content: "Hi" }], stream: true });
let text = "";
for await (const part of stream) text += part.message.content;
console.log(text);
""", is_node=True),
    TriedClient("@langchain/openai (Node)", """
import { ChatOpenAI } from "@langchain/openai";
const model = new ChatOpenAI({ model: MODEL, apiKey: "k", configuration: { baseURL: `${BASE}/v1` } });
let text = "";
for await (const part of await model.stream("Hi")) text += part.text;
console.log(text);
""", is_node=True),
    TriedClient("ai, @ai-sdk/openai: responses (Node)", """
import { streamText } from "ai";
import { createOpenAI } from "@ai-sdk/openai";
const openai = createOpenAI({ baseURL: `${BASE}/v1`, apiKey: "k" });
console.log(await streamText({ model: openai(MODEL), prompt: "Hi" }).text);
""", is_node=True),
    TriedClient("ai, @ai-sdk/openai: chat (Node)", """
import { streamText } from "ai";
import { createOpenAI } from "@ai-sdk/openai";
const openai = createOpenAI({ baseURL: `${BASE}/v1`, apiKey: "k" });
console.log(await streamText({ model: openai.chat(MODEL), prompt: "Hi" }).text);
""", is_node=True),
    TriedClient("ai, @ai-sdk/openai-compatible (Node)", """
import { streamText } from "ai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
const model = createOpenAICompatible({ name: "proxy", baseURL: `${BASE}/v1`, includeUsage: true })(MODEL);
console.log(await streamText({ model, prompt: "Hi" }).text);
""", is_node=True),
    TriedClient("@continuedev/cli (Node)", """
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
const config = `${process.env.HOME}/config.yaml`;
const model = { name: "fake", provider: "openai", model: MODEL, apiBase: `${BASE}/v1`, apiKey: "k", roles: ["chat"] };
writeFileSync(config, JSON.stringify({ name: "local", version: "0.0.1", schema: "v1", models: [model] }));
const command = "node_modules/@continuedev/cli/dist/cn.js";
console.log(execFileSync(process.execPath, [command, "-p", "Hi", "--config", config], { encoding: "utf8" }));
""", is_node=True),
    TriedClient("cline (Node)", """
import { execFileSync } from "node:child_process";
const run = (...given) => execFileSync("node_modules/.bin/cline", [...given, "--data-dir", process.env.HOME],
  { encoding: "utf8" });
run("auth", "-p", "openai-compatible", "-k", "k", "-m", MODEL, "-b", `${BASE}/v1`);
console.log(run("Say hello, please", "-P", "openai-compatible", "-m", MODEL));
""", is_node=True),
    TriedClient("ai, @ai-sdk/anthropic (Node)", """
import { streamText } from "ai";
import { createAnthropic } from "@ai-sdk/anthropic";
const anthropic = createAnthropic({ baseURL: `${BASE}/v1`, apiKey: "k" });
console.log(await streamText({ model: anthropic(MODEL), prompt: "Hi" }).text);
""", is_node=True),
)  # fmt: skip


def handler(request: Request) -> Script:
    """A server that speaks OpenAI's two APIs, Anthropic's and Ollama's."""
    path = request.target.partition("?")[0]
    if request.method == "POST" and path == "/v1/messages":
        return stream_script(_anthropic())
    if request.method == "POST" and path == "/v1/responses":
        return stream_script(_responses())
    if request.method == "POST" and path == "/api/chat":
        lines = [
            {"model": MODEL, "created_at": _WHEN, "message": {"role": "assistant", "content": _SAID}, "done": False},
            {"model": MODEL, "created_at": _WHEN, "message": {"role": "assistant", "content": ""}, "done": True,
             "done_reason": "stop", "prompt_eval_count": 12, "eval_count": 3},
        ]  # fmt: skip
        sent = [Send(chunk(json.dumps(line).encode() + b"\n")) for line in lines]
        return [Send(head(200, ("Content-Type", "application/x-ndjson"), CHUNKED)), *sent, Send(LAST_CHUNK)]
    return openai_handler(request) if request.method == "GET" or request.body else [Send(json_response({}))]


_WHEN: Final = "2026-01-01T00:00:00Z"


def _named(kind: str, **members: Any) -> bytes:
    return b"event: " + kind.encode() + b"\n" + sse({"type": kind, **members})


def _anthropic() -> list[bytes]:
    message: Any = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": [],
               "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 12}}  # fmt: skip
    return [
        _named("message_start", message=message),
        _named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        _named("content_block_delta", index=0, delta={"type": "text_delta", "text": _SAID}),
        _named("content_block_stop", index=0),
        _named("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 3}),
        _named("message_stop"),
    ]


def _responses() -> list[bytes]:
    part = {"type": "output_text", "text": _SAID, "annotations": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    answer = {"id": "resp_1", "object": "response", "created_at": 1, "model": MODEL, "status": "in_progress",
              "output": [], "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}  # fmt: skip
    usage = {"input_tokens": 12, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 3,
             "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 15}  # fmt: skip
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    return [
        _named("response.created", response=answer, sequence_number=0),
        _named("response.output_item.added", output_index=0, item={**item, "status": "in_progress", "content": []},
               sequence_number=1),
        _named("response.content_part.added", **where, part={**part, "text": ""}, sequence_number=2),
        _named("response.output_text.delta", **where, delta=_SAID, logprobs=[], sequence_number=3),
        _named("response.output_text.done", **where, text=_SAID, logprobs=[], sequence_number=4),
        _named("response.content_part.done", **where, part=part, sequence_number=5),
        _named("response.output_item.done", output_index=0, item=item, sequence_number=6),
        _named("response.completed", response={**answer, "status": "completed", "output": [item], "usage": usage},
               sequence_number=7),
    ]  # fmt: skip


def tried(
    client: TriedClient, proxy: ProxyWorker, python: str = sys.executable, node_modules: Path | None = None
) -> tuple[str, RequestRecord | None]:
    """What became of it, in a word, and the record of its request for an answer."""
    before = len(proxy.closed())
    base = f"http://127.0.0.1:{proxy.port}"
    quoted = (json.dumps(base), json.dumps(MODEL))
    if client.is_node:
        code = "const BASE = {}, MODEL = {};\n".format(*quoted) + client.code
        command = ["node", "--input-type=module", "-e", code]
        folder = node_modules.parent if node_modules else None
    else:
        command, folder = [python, "-c", "BASE, MODEL = {}, {}\n".format(*quoted) + client.code], None
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "HOME": home}
        done = subprocess.run(
            command, cwd=folder or home, env=environment, capture_output=True, text=True, timeout=180, check=False
        )
    if done.returncode and any(word in done.stderr for word in _MISSING):
        return "not installed", None
    if _SAID not in done.stdout:
        return f"WRONG: {(done.stderr or done.stdout).strip().splitlines()[-1:]}", None
    asked = [record for record in proxy.closed()[before:] if record.method == "POST" and record.model]
    if not asked:
        return "WRONG: no record", None
    known = proxy.records(len(proxy.closed()))
    record = next(each for each in known if each.request_id == asked[-1].request_id)
    whole = (record.model, record.total_tokens, record.success) == (MODEL, 15, True)
    return ("ok" if whole and record.time_to_first_token_ms is not None else "WRONG: poor record"), record


def main() -> int:
    """Try all that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the Python clients")
    parser.add_argument("--node-modules", type=Path, help="folder that has the Node clients")
    parser.add_argument("--only", help="clients whose name has this in it")
    options = parser.parse_args()
    wrong = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        FakeUpstream(handler) as upstream,
        ProxyWorker(Path(folder), upstream.url, inject_usage=True) as proxy,  # aider does not ask for token counts
    ):
        proxy.ask(get())  # it is there
        for client in (*PYTHON, *(NODE if options.node_modules else ())):
            if options.only and options.only not in client.name:
                continue
            word, record = tried(client, proxy, options.python, options.node_modules)
            wrong += word.startswith("WRONG")
            shown = "" if record is None else (
                f" {record.dialect} model={record.model} tokens={record.prompt_tokens}+{record.completion_tokens}"
                f" TTFT={record.time_to_first_token_ms} user_agent={record.user_agent!r}"
            )  # fmt: skip
            sys.stdout.write(f"{client.name}: {word}{shown}\n")
            sys.stdout.flush()
    return wrong > 0


if __name__ == "__main__":
    raise SystemExit(main())
