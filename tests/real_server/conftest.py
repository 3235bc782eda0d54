"""LiteLLM's proxy, started once, and ours in front of it.

Its models answer by themselves, but for ``behind`` and ``bridged``: those it asks of a fake server that speaks OpenAI's
chat alone, so that what comes out in another dialect is LiteLLM's own.
"""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from tests.child_processes import answers, child
from tests.stack import Stack
from tests.upstream import FakeUpstream, unused_port
from tests.waiting import wait_until

_PROGRAM: Final = Path(__file__).resolve().parents[2] / ".venv-litellm/bin/litellm"
_START_LIMIT_S: Final = 180.0  # it imports for 10 s on a quiet machine

TEXT: Final = "The proxy in front of me changes nothing, not even ünïcödé: 日本語, emoji 🙂."
LONG_CHUNKS: Final = 20_000
# It is streamed three letters at a time, and nobody waits for its end. LiteLLM takes 100 that are alike for a fault.
_LONG: Final = "".join(f"{number % 1000:03}" for number in range(LONG_CHUNKS))
_TOOL_CALL: Final = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "look_up", "arguments": '{"term": "proxy"}'},
}
_MODELS: Final[dict[str, dict[str, Any]]] = {
    "mock-chat": {"mock_response": TEXT},
    "mock-tools": {"mock_response": "", "mock_tool_calls": [_TOOL_CALL]},
    "mock-embedding": {"mock_response": [0.25, -0.5, 1.0]},
    "mock-long": {"mock_response": _LONG},
    "mock-overloaded": {"mock_response": "Exception: mock_streaming_error"},
    "mock-rate-limit": {"mock_response": "litellm.RateLimitError"},
    "mock-context": {"mock_response": "litellm.ContextWindowExceededError"},
    "mock-internal": {"mock_response": "litellm.InternalServerError"},
}
_BEHIND: Final = {"behind": "hosted_vllm/behind", "bridged": "deepseek/bridged"}  # by LiteLLM's name of the provider
_CONFIG: Final[dict[str, Any]] = {
    "model_list": [
        {"model_name": name, "litellm_params": {"model": f"openai/{name}", "api_key": "none", **answer}}
        for name, answer in _MODELS.items()
    ],
    "router_settings": {"num_retries": 0, "disable_cooldowns": True},
}
_ENVIRONMENT: Final = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches a price list at start
    "LITELLM_TELEMETRY": "False",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # it listens on loopback only
}


@pytest.fixture(scope="session")
def chat_server() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def litellm_url(chat_server: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not _PROGRAM.exists():
        pytest.skip("LiteLLM is not installed: run tools/install-litellm.sh (`make test` does)")
    folder = tmp_path_factory.mktemp("litellm")
    config, log = folder / "config.yaml", folder / "log"
    behind = [
        {
            "model_name": name,
            "litellm_params": {"model": model, "api_key": "none", "api_base": f"{chat_server.url}/v1"},
        }
        for name, model in _BEHIND.items()
    ]
    told = {**_CONFIG, "model_list": [*_CONFIG["model_list"], *behind]}
    config.write_text(json.dumps(told, ensure_ascii=False))  # JSON is YAML, but for the escapes of surrogates
    netloc = f"127.0.0.1:{unused_port()}"
    command = [str(_PROGRAM), "--config", str(config), "--host", "127.0.0.1", "--port", netloc.rpartition(":")[2]]
    with child(command, log, environment=_ENVIRONMENT) as process:
        started = partial(answers, netloc, "/health/liveliness")
        wait_until(started, "LiteLLM's start", _START_LIMIT_S, process=process, log=log)
        yield f"http://{netloc}"


@pytest.fixture(scope="session")
def stack(litellm_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(litellm_url, tmp_path_factory.mktemp("stack")) as stack:
        yield stack
