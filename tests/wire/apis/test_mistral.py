"""Mistral's own operations: conversations, and those that answer as chat completions do."""

from typing import Any

import pytest

from llm_metrics_proxy.proxy.policy import PathPolicy
from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.apis.mistral import (
    CONVERSATIONS,
    MISTRAL_AGENTS,
    MISTRAL_FIM,
    ConversationBodyReader,
    ConversationStreamReader,
)
from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_TERMINAL, SAW_TOKEN, SAW_VISIBLE, RequestFacts
from tests.wire.counted import Read
from tests.wire.streams import compact, facts_of, named

USAGE = {
    "prompt_tokens": 188, "completion_tokens": 55, "total_tokens": 7355, "connector_tokens": 7112,
    "connectors": {"web_search": 1},
}  # fmt: skip
COUNTED: dict[str, Any] = {
    "response_model": "mistral-medium-latest", "prompt_tokens": 188, "completion_tokens": 55, "total_tokens": 7355,
    "usage_source": UsageSource.REPORTED, "tool_call_count": 1, "response_id": "conv_06", "terminal": True,
}  # fmt: skip


def message(content: object, index: int = 0) -> bytes:
    return named(
        "message.output.delta", created_at="2026-05-07T18:02:48.912Z", output_index=1, id="msg_1", content_index=index,
        model="mistral-medium-latest", agent_id=None, role="assistant", content=content,
    )  # fmt: skip


def call(name: str, arguments: str) -> bytes:
    return named("function.call.delta", id="fc_1", name=name, tool_call_id="c1", arguments=arguments, output_index=2)


STREAM = [
    named("conversation.response.started", conversation_id="conv_06"),
    named("tool.execution.started", id="tool_1", name="web_search", arguments=""),
    named("tool.execution.done", id="tool_1", name="web_search", info={}),
    message({"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}),
    message("The"),
    message(" winner"),
    message({"type": "tool_reference", "tool": "web_search", "title": "x"}, 2),
    call("look", ""),
    call("", '{"at":'),
    named("conversation.response.done", usage=USAGE),
]


def test_a_stream() -> None:
    assert facts_of(ConversationStreamReader, *STREAM) == Read(content_chunks=6, **COUNTED)


def test_a_whole_answer() -> None:
    answer = {
        "conversation_id": "conv_06", "object": "conversation.response", "usage": USAGE,
        "outputs": [
            {"type": "tool.execution", "name": "web_search", "id": "tool_1"},
            {"type": "message.output", "model": "mistral-medium-latest", "content": [{"type": "text", "text": "x"}]},
            {"type": "function.call", "name": "look", "tool_call_id": "c1", "arguments": "{}"},
        ],
    }  # fmt: skip
    assert facts_of(ConversationBodyReader, compact(answer)) == Read(**COUNTED)


def test_an_answer_of_openais_conversations_has_no_usage() -> None:
    found = facts_of(ConversationBodyReader, compact({"id": "conv_1", "object": "conversation", "metadata": {}}))
    assert found == Read(terminal=True)


@pytest.mark.parametrize(
    ("piece", "bits"),
    [(STREAM[0], 0), (STREAM[1], 0), (STREAM[2], 0), (STREAM[3], SAW_TOKEN), (message("Hi"), SAW_VISIBLE),
     (message(""), 0), (call("f", ""), SAW_VISIBLE), (call("", ""), 0), (STREAM[-1], SAW_TERMINAL),
     (named("agent.handoff.started", previous_agent_id="a", previous_agent_name="b"), 0),
     (named("conversation.response.error", message="no", code=3), SAW_ERROR)],
)  # fmt: skip
def test_what_one_event_shows(piece: bytes, bits: int) -> None:
    assert ConversationStreamReader().feed(piece) == bits


def test_an_error_in_a_stream() -> None:
    found = facts_of(ConversationStreamReader, *STREAM[:5], named("conversation.response.error", message="no", code=3))
    assert found.error is not None
    assert (found.error.code, found.error.message, found.terminal) == ("3", "no", False)


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        ({"model": "m", "inputs": "x", "stream": True, "tools": [{"type": "web_search"}],
          "completion_args": {"max_tokens": 9, "temperature": 0.1, "top_p": 0.5}},
         RequestFacts(model="m", is_streaming=True, max_tokens=9, temperature=0.1, top_p=0.5, message_count=1,
                      tool_count=1)),
        ({"agent_id": "ag_1", "inputs": [{"role": "user", "content": "x"}] * 3}, RequestFacts(message_count=3)),
    ],
)  # fmt: skip
def test_requests_are_read(body: dict[str, Any], facts: RequestFacts) -> None:
    assert CONVERSATIONS.read_request(compact(body)) == facts


def test_the_model_of_fill_in_the_middle_is_read_and_agents_have_none() -> None:
    asked = MISTRAL_FIM.read_request(compact({"model": "codestral", "prompt": "a", "suffix": "b", "max_tokens": 5}))
    assert asked == RequestFacts(model="codestral", max_tokens=5, message_count=1)
    assert MISTRAL_AGENTS.read_request(compact({"agent_id": "a", "messages": [{}]})) == RequestFacts(message_count=1)


@pytest.mark.parametrize(
    ("path", "name"),
    [("/v1/fim/completions", "mistral_fim"), ("/v1/agents/completions", "mistral_agents"),
     ("/v1/conversations", "conversations"), ("/v1/conversations/conv_06", "conversations"),
     ("/v1/conversations/conv_06/restart", "conversations"), ("/v1/ocr", "mistral_ocr"),
     ("/v1/classifications", "mistral_classifications"), ("/v1/chat/moderations", "mistral_classifications")],
)  # fmt: skip
def test_its_paths_pass(path: str, name: str) -> None:
    dialect = PathPolicy().route(b"POST", path.encode()).dialect
    assert dialect is not None
    assert dialect.name == name
