"""Heads and bodies that clients really sent to a server of ours in November 2026, without prompts; ids are made up.

Each was run without a terminal, pointed at a local server: ``docs/topics/clients.md`` says how.
"""

import json
from typing import Any, Final, NamedTuple

SESSION: Final = "7fb2efec-940b-484a-8aa6-eb2609a35e4a"
THREAD: Final = "01a22763-3e57-7ca0-ab51-a7bd44600222"
CHILD: Final = "01a22763-4c11-7d02-8f3a-1de0a1c7b9e4"
DEVICE: Final = "5ed89b3f5abd0c844c2579037ca52d668e8e97d534a10034dac1508c4e52fde1"


class RecordedClient(NamedTuple):
    """One request, and what the record should say about who asked."""

    name: str
    path: str
    lines: tuple[str, ...]
    body: dict[str, Any]
    expected: dict[str, str | None]


def _claude_user(**parts: str) -> str:
    return json.dumps({"device_id": DEVICE, "account_uuid": "", "session_id": SESSION, **parts}, separators=(",", ":"))


_CLAUDE_LINES: Final = (
    "Accept: application/json", "Content-Type: application/json",
    "User-Agent: claude-cli/2.1.197 (external, sdk-cli)", f"X-Claude-Code-Session-Id: {SESSION}",
    "X-Stainless-Lang: js", "X-Stainless-Package-Version: 0.94.0", "X-Stainless-Retry-Count: 0",
    "anthropic-beta: claude-code-20250219,interleaved-thinking-2025-05-14", "anthropic-version: 2023-06-01",
    "x-api-key: sk-ant-test", "x-app: cli", "Connection: keep-alive",
)  # fmt: skip
_CLAUDE_BODY: Final = {
    "model": "claude-opus-4-8", "max_tokens": 64000, "stream": True, "messages": [{"role": "user", "content": "x"}],
    "metadata": {"user_id": _claude_user()},
}  # fmt: skip
_CODEX_LINES: Final = (
    "x-codex-beta-features: remote_compaction_v2", f"x-codex-window-id: {THREAD}:0",
    f'x-codex-turn-metadata: {{"session_id":"{THREAD}","request_kind":"turn"}}', f"x-client-request-id: {THREAD}",
    f"session-id: {THREAD}", f"thread-id: {THREAD}", "accept: text/event-stream", "content-type: application/json",
    "authorization: Bearer k", "originator: codex_exec",
    "user-agent: codex_exec/0.171.0 (Debian 12.0.0; x86_64) xterm (codex_exec; 0.171.0)",
)  # fmt: skip
_CODEX_BODY: Final = {
    "model": "gpt-5", "stream": True, "store": False, "input": [{"type": "message"}], "prompt_cache_key": THREAD,
    "client_metadata": {"session_id": THREAD},
}  # fmt: skip
_CHAT: Final = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
_JSON: Final = "Content-Type: application/json"


def _sdk(agent: str, app: str, path: str = "/v1/chat/completions") -> RecordedClient:
    return RecordedClient(agent, path, (_JSON, f"User-Agent: {agent}"), _CHAT, {"app": app, "session_id": None})


RECORDED: Final = (
    RecordedClient(
        "Claude Code 2.1.197", "/v1/messages?beta=true", _CLAUDE_LINES, _CLAUDE_BODY,
        {
            "app": "Claude Code", "session_id": SESSION, "session_source": "header:x-claude-code-session-id",
            "user": DEVICE, "agent_id": None, "user_agent": "claude-cli/2.1.197",
        },
    ),
    RecordedClient(
        "a subagent of Claude Code", "/v1/messages?beta=true",
        (*_CLAUDE_LINES, "x-claude-code-agent-id: a1b2", "x-claude-code-parent-agent-id: main"), _CLAUDE_BODY,
        {"app": "Claude Code", "session_id": SESSION, "agent_id": "a1b2", "parent_agent_id": "main"},
    ),
    RecordedClient(
        "Claude Code before 2.1.86", "/v1/messages?beta=true",
        tuple(line for line in _CLAUDE_LINES if "Session-Id" not in line),
        {**_CLAUDE_BODY, "metadata": {"user_id": f"user_{DEVICE}_account__session_{SESSION}"}},
        {
            "app": "Claude Code", "session_id": SESSION, "session_source": "body:metadata.user_id", "user": DEVICE,
        },
    ),
    RecordedClient(
        "Codex 0.171.0", "/v1/responses", _CODEX_LINES, _CODEX_BODY,
        {
            "app": "Codex", "session_id": THREAD, "session_source": "header:session-id", "agent_id": None,
            "user": None, "user_agent": "codex_exec/0.171.0",
        },
    ),
    RecordedClient(
        "a subagent of Codex", "/v1/responses",
        (
            *(line.replace("thread-id: " + THREAD, "thread-id: " + CHILD) for line in _CODEX_LINES),
            f"x-codex-parent-thread-id: {THREAD}", "x-openai-subagent: collab_spawn",
        ),
        _CODEX_BODY,
        {"app": "Codex", "session_id": THREAD, "agent_id": CHILD, "parent_agent_id": THREAD},
    ),
    RecordedClient(
        "OpenCode 1.18.33", "/v1/chat/completions",
        (
            "Authorization: Bearer k", _JSON,
            "User-Agent: opencode/1.18.33 ai-sdk/provider-utils/4.0.23 runtime/bun/1.3.14",
            "x-session-affinity: ses_dd89c910affeLGcbRlPi5PWoiO", "x-session-id: ses_dd89c910affeLGcbRlPi5PWoiO",
            "Connection: keep-alive", "Accept: */*",
        ),
        {**_CHAT, "stream": True, "stream_options": {"include_usage": True}},
        {
            "app": "OpenCode", "session_id": "ses_dd89c910affeLGcbRlPi5PWoiO", "session_source": "header:x-session-id",
        },
    ),
    RecordedClient(
        "Gemini CLI 0.61.0", "/v1beta/openai/chat/completions",  # its own path is Gemini's
        (
            "User-Agent: GeminiCLI-tui/0.61.0/gemini-2.5-pro (linux; x64; terminal)",
            "x-goog-api-client: google-genai-sdk/1.30.0 gl-node/v20.20.2", _JSON,
        ),
        _CHAT, {"app": "Gemini CLI", "session_id": None},
    ),
    _sdk("OpenAI/Python 3.57.0", "OpenAI Python"),
    _sdk("AsyncOpenAI/Python 3.57.0", "OpenAI Python"),
    _sdk("AzureOpenAI/Python 3.57.0", "OpenAI Python", "/openai/deployments/m/chat/completions?api-version=2024-10-21"),
    _sdk("Anthropic/Python 2.14.0", "Anthropic Python"),
    _sdk("ollama-python/0.6.3 (x86_64 linux) Python/3.11.7", "Ollama Python"),
    _sdk("cohere/7.3.1", "Cohere SDK"),
    _sdk("mistral-client-python/3.7.0", "Mistral Python"),
    _sdk("Groq/Python 1.7.0", "Groq Python"),
    _sdk("litellm/1.110.2", "LiteLLM"),
    _sdk("Boto3/1.44.8 md/Botocore#1.44.8 ua/2.1 os/linux#6.18.44-fc-v657 md/arch#x86_64 lang/python#3.11.7", "boto3"),
    _sdk("unknown/None; hf_hub/2.4.0; python/3.11.7", "Hugging Face Hub"),
    _sdk("python-requests/2.34.2", "python-requests"),
    _sdk("python-httpx/0.28.1", "httpx"),
)  # fmt: skip
