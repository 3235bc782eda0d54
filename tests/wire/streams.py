"""Streams in each dialect, written from the servers' documentation, and how tests read them."""

import json
from collections.abc import Callable
from typing import Any, Final

from llm_metrics_proxy.wire.apis.anthropic import AnthropicStreamReader
from llm_metrics_proxy.wire.apis.gemini import GeminiStreamReader
from llm_metrics_proxy.wire.apis.gemini_interactions import InteractionStreamReader
from llm_metrics_proxy.wire.apis.llama_native import LlamaStreamReader
from llm_metrics_proxy.wire.apis.ollama import OllamaStreamReader
from llm_metrics_proxy.wire.apis.openai_responses import ResponsesStreamReader
from llm_metrics_proxy.wire.apis.openai_stream import OpenAIStreamReader
from llm_metrics_proxy.wire.apis.other_operations import OtherStreamReader
from llm_metrics_proxy.wire.base import ResponseReader
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.json_shrink import shape_of
from tests.wire.counted import Read, counted
from tests.wire.cuts import three_ways


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def named(kind: str, **members: Any) -> bytes:
    """An event that names its type twice, as Anthropic's and OpenAI's newer ones do."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), compact({"type": kind, **members}))


def line(**members: Any) -> bytes:
    """A line of Ollama's."""
    return compact({"model": "llama3.2", "created_at": "2025-08-04T08:52:19.385406455-07:00", **members}) + b"\n"


def facts_of(make: Callable[[], ResponseReader], *pieces: bytes) -> Read:
    """The facts of a body; the same whole, event by event, byte by byte and cut at random, or this fails."""
    found = []
    for cut in (list(pieces), *three_ways(b"".join(pieces))):
        reader = make()
        for piece in cut:
            reader.feed(piece)
        found.append(counted(reader))
    assert all(other == found[0] for other in found), found
    return found[0]


def with_bound(reader: ResponseReader, max_held_bytes: int) -> ResponseReader:
    """``reader`` as if larger events than that were large; other readers as they are."""
    if isinstance(reader, EventReader):
        reader._framer = reader.frame(shape_of(reader.kind), max_held_bytes)
    return reader


# Anthropic

MESSAGE_START: Final = named(
    "message_start",
    message={
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [], "stop_reason": None,
        "usage": {"input_tokens": 25, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 5,
                  "output_tokens": 1, "service_tier": "standard"},
    },
)  # fmt: skip
PING: Final = named("ping")
MESSAGE_STOP: Final = named("message_stop")


def block_start(index: int = 0, **block: Any) -> bytes:
    return named("content_block_start", index=index, content_block=block)


def block_delta(index: int = 0, **delta: Any) -> bytes:
    return named("content_block_delta", index=index, delta=delta)


def text_delta(text: str) -> bytes:
    return block_delta(type="text_delta", text=text)


def message_delta(stop_reason: str | None = "end_turn", **usage: Any) -> bytes:
    return named("message_delta", delta={"stop_reason": stop_reason, "stop_sequence": None}, usage=usage)


ANTHROPIC: Final = [
    MESSAGE_START,
    block_start(type="thinking", thinking="", signature=""),
    PING,
    block_delta(type="thinking_delta", thinking="Let me think. "),
    block_delta(type="thinking_delta", thinking="Well"),
    block_delta(type="signature_delta", signature="EqQBCgIYAhIM"),
    named("content_block_stop", index=0),
    block_start(1, type="text", text=""),
    text_delta("Hello"),
    text_delta(" there"),
    text_delta("!"),
    named("content_block_stop", index=1),
    block_start(2, type="tool_use", id="toolu_1", name="get_weather", input={}),
    block_delta(2, type="input_json_delta", partial_json=""),
    block_delta(2, type="input_json_delta", partial_json='{"location":'),
    block_delta(2, type="input_json_delta", partial_json=' "Paris"}'),
    named("content_block_stop", index=2),
    message_delta("tool_use", output_tokens=89),
    MESSAGE_STOP,
]

# Ollama

OLLAMA_END: Final = {
    "done": True, "done_reason": "stop", "total_duration": 4_883_583_458, "load_duration": 1_334_875,
    "prompt_eval_count": 26, "prompt_eval_duration": 342_546_000, "eval_count": 282, "eval_duration": 4_535_599_000,
}  # fmt: skip


def said(content: str = "", **more: Any) -> bytes:
    return line(message={"role": "assistant", "content": content, **more}, done=False)


OLLAMA: Final = [
    said(thinking="Hm. "),
    said(thinking="Well"),
    said("The"),
    said(" sky"),
    said(" is"),
    said(tool_calls=[{"function": {"name": "look", "arguments": {"at": "sky"}}}]),
    line(message={"role": "assistant", "content": ""}, **OLLAMA_END),
]

# OpenAI Responses

RESPONSE: Final[dict[str, Any]] = {
    "id": "resp_1", "object": "response", "status": "in_progress", "model": "gpt-x", "output": [], "usage": None,
    "error": None, "incomplete_details": None, "service_tier": "auto",
}  # fmt: skip
RESPONSE_USAGE: Final = {
    "input_tokens": 37, "input_tokens_details": {"cached_tokens": 16}, "output_tokens": 11,
    "output_tokens_details": {"reasoning_tokens": 4}, "total_tokens": 48,
}  # fmt: skip
OUTPUT: Final = [
    {"type": "reasoning", "summary": []},
    {"type": "message", "content": [{"type": "output_text", "text": "Hi there!"}]},
    {"type": "function_call", "name": "f", "arguments": "{}"},
]


def response_event(kind: str, **changes: Any) -> bytes:
    return named(kind, response={**RESPONSE, **changes}, sequence_number=0)


def response_delta(kind: str, delta: object, number: int = 5) -> bytes:
    return named(kind, item_id="i", output_index=0, delta=delta, sequence_number=number, obfuscation="x" * (number % 7))


COMPLETED: Final = response_event(
    "response.completed", status="completed", output=OUTPUT, usage=RESPONSE_USAGE, service_tier="default"
)
RESPONSES: Final = [
    response_event("response.created"),
    response_event("response.in_progress"),
    named("response.output_item.added", output_index=0, item={"type": "reasoning", "id": "rs_1"}, sequence_number=2),
    response_delta("response.reasoning_summary_text.delta", "Thinking", 3),
    response_delta("response.reasoning_summary_text.delta", " hard", 4),
    named("response.output_item.added", output_index=1, item={"type": "message", "id": "msg_1"}, sequence_number=5),
    response_delta("response.output_text.delta", "Hi", 6),
    response_delta("response.output_text.delta", " there", 8),
    response_delta("response.output_text.delta", "!", 10),
    named("response.output_text.done", text="Hi there!", sequence_number=11),
    named("response.output_item.added", item={"type": "function_call", "name": "f", "arguments": ""}),
    response_delta("response.function_call_arguments.delta", "{}", 13),
    COMPLETED,
]

# Audio and pictures

TRANSCRIPT: Final = [
    named("transcript.text.delta", delta="So "),
    named("transcript.text.delta", delta="be it"),
    named("transcript.text.done", text="So be it", usage={
        "type": "tokens", "input_tokens": 14, "input_token_details": {"audio_tokens": 14}, "output_tokens": 4,
        "total_tokens": 18,
    }),
]  # fmt: skip

CHAT: Final = [
    *(b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % text
      for text in (b"Hel", b"lo", b" there")),
    b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":3}}\n\n',
    b"data: [DONE]\n\n",
]  # fmt: skip

LLAMA_END: Final = {
    "content": "", "stop": True, "stop_type": "eos", "model": "q", "tokens_predicted": 3, "tokens_evaluated": 12,
    "timings": {"cache_n": 8, "prompt_n": 4, "prompt_ms": 30.5, "predicted_n": 3, "predicted_ms": 66.0},
}  # fmt: skip
LLAMA: Final = [
    *(b"data: " + compact({"index": 0, "content": text, "stop": False}) + b"\n\n" for text in ("Hel", "lo", "!")),
    b"data: " + compact(LLAMA_END) + b"\n\n",
]

# Gemini


def generated(*parts: dict[str, Any], finish: str | None = None, usage: object = None, **more: Any) -> dict[str, Any]:
    """One ``GenerateContentResponse``."""
    content = {"parts": list(parts), "role": "model"} if parts else {}
    candidate = {"content": content, **({"finishReason": finish} if finish else {}), "index": 0}
    counted = {} if usage is None else {"usageMetadata": usage}
    return {"candidates": [candidate], **counted, "modelVersion": "gemini-x", "responseId": "r1", **more}


def google_sse(*answers: dict[str, Any]) -> list[bytes]:
    """As ``?alt=sse`` gives them: spaces behind colons, CRLF."""
    return [b"data: " + json.dumps(answer, ensure_ascii=False).encode() + b"\r\n\r\n" for answer in answers]


def google_array(*answers: dict[str, Any]) -> list[bytes]:
    """As a stream comes without it: indented, each element behind the comma that a line break follows."""
    whole = [json.dumps(answer, indent=2, ensure_ascii=False).encode() for answer in answers]
    return [b"[" + whole[0], *(b"\n,\r\n" + each for each in whole[1:]), b"\n]\n"]


def gemini_usage(prompt: int, **more: int) -> dict[str, Any]:
    return {
        "promptTokenCount": prompt, **more, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
        "trafficType": "ON_DEMAND",
    }  # fmt: skip


GEMINI: Final = [
    generated(
        {"text": "**Weather** I look.", "thought": True},
        usage=gemini_usage(12, thoughtsTokenCount=9, totalTokenCount=21),
    ),
    generated(
        {"text": "It is"}, usage=gemini_usage(12, thoughtsTokenCount=9, candidatesTokenCount=2, totalTokenCount=23)
    ),
    generated(
        {"functionCall": {"name": "weather", "args": {"city": "Zürich"}}, "thoughtSignature": "Eo8BCow="},
        usage=gemini_usage(12, thoughtsTokenCount=9, candidatesTokenCount=8, totalTokenCount=29),
    ),
    generated(finish="STOP", usage=gemini_usage(
        12, cachedContentTokenCount=4, thoughtsTokenCount=9, candidatesTokenCount=8, totalTokenCount=29
    )),
]  # fmt: skip


def interaction(kind: str, **members: Any) -> bytes:
    """An event of Google's Interactions API."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), compact({"event_type": kind, **members, "event_id": "e-1"}))


def step_delta(index: int, **delta: Any) -> bytes:
    return interaction("step.delta", index=index, delta=delta)


INTERACTION_USAGE: Final = {
    "total_input_tokens": 12, "total_tool_use_tokens": 3, "total_output_tokens": 8, "total_thought_tokens": 9,
    "total_cached_tokens": 4, "total_tokens": 32,
    "output_tokens_by_modality": [{"modality": "text", "tokens": 8}],
}  # fmt: skip
INTERACTIONS: Final = [
    interaction("interaction.created", interaction={"id": "int-1", "model": "gemini-x", "status": "in_progress"}),
    interaction("step.start", index=0, step={"type": "thought"}),
    step_delta(0, type="thought_summary", content={"type": "text", "text": "Weather."}),
    step_delta(0, type="thought_signature", signature="Eo8B"),
    interaction("step.stop", index=0),
    interaction("step.start", index=1, step={"type": "model_output"}),
    *(step_delta(1, type="text", text=text) for text in ("It", " is", " cold")),
    interaction("step.stop", index=1, usage={"total_input_tokens": 12, "total_output_tokens": 3}),
    interaction("step.start", index=2, step={"type": "function_call", "id": "c1", "name": "weather", "arguments": {}}),
    step_delta(2, type="arguments_delta", arguments='{"city":'),
    step_delta(2, type="arguments_delta", arguments='"Paris"}'),
    interaction("step.stop", index=2),
    interaction("interaction.completed", interaction={
        "id": "int-1", "model": "gemini-x", "status": "requires_action", "service_tier": "standard",
        "usage": INTERACTION_USAGE,
    }),
]  # fmt: skip

ALL: Final[dict[str, tuple[Callable[[], ResponseReader], list[bytes]]]] = {
    "openai": (OpenAIStreamReader, CHAT),
    "anthropic": (AnthropicStreamReader, ANTHROPIC),
    "ollama": (OllamaStreamReader, OLLAMA),
    "responses": (ResponsesStreamReader, RESPONSES),
    "audio": (OtherStreamReader, TRANSCRIPT),
    "llama": (LlamaStreamReader, LLAMA),
    "gemini": (GeminiStreamReader, google_sse(*GEMINI)),
    "interactions": (InteractionStreamReader, INTERACTIONS),
}
