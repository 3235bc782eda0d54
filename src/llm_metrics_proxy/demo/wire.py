"""Answers in OpenAI's shapes: whole bodies and stream events. Pure; a ``Call`` is the request."""

import base64
import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from llm_metrics_proxy.demo.answers import ModelAnswer
from llm_metrics_proxy.demo.faults import FaultAnswer

FINGERPRINT: Final = "fp_simulated"
DONE: Final = b"data: [DONE]\n\n"


class Call(NamedTuple):
    """What every object of one answer repeats."""

    id: str
    created: int  # Unix seconds
    model: str
    chat: bool  # chat completions, else text completions
    prompt_tokens: int
    cached_tokens: int = 0  # of them, those that the server had read before


def event(value: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def error_body(error: FaultAnswer) -> dict[str, Any]:
    """``{"error": …}`` as OpenAI words it."""
    return {"error": {"message": error.message, "type": error.type, "param": None, "code": error.code}}


def usage(call: Call, answers: Sequence[ModelAnswer]) -> dict[str, Any]:
    """Token counts over all choices."""
    completion_tokens = sum(answer.token_count for answer in answers)
    return {
        "prompt_tokens": call.prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": call.prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": call.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": sum(len(answer.reasoning) for answer in answers)},
    }


def completion(call: Call, answers: Sequence[ModelAnswer]) -> dict[str, Any]:
    """The whole answer at once."""
    choices = [_choice(call, index, answer) for index, answer in enumerate(answers)]
    return {**_envelope(call, streamed=False, choices=choices), "usage": usage(call, answers)}


def stream(call: Call, answers: Sequence[ModelAnswer], *, include_usage: bool) -> Iterator[tuple[bytes, int]]:
    """The answer's events, each with the number of tokens in it (0 or 1); the choices take turns."""
    parts = [_deltas(call, answer) for answer in answers]
    open_choices = dict(enumerate(parts))
    while open_choices:
        for index in tuple(open_choices):
            part = next(open_choices[index], None)
            if part is None:
                del open_choices[index]
                continue
            delta, finish_reason, tokens = part
            choice = {"index": index, **delta, "logprobs": None, "finish_reason": finish_reason}
            yield event(_envelope(call, streamed=True, choices=[choice])), tokens
    if include_usage:
        yield event({**_envelope(call, streamed=True, choices=[]), "usage": usage(call, answers)}), 0
    yield DONE, 0


def embeddings(call: Call, vectors: Sequence[list[float]], *, as_base64: bool) -> dict[str, Any]:
    """As floats, or as base64 of little-endian 32-bit floats, which OpenAI's client asks for by itself."""
    values: list[Any] = [
        base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if as_base64 else vector
        for vector in vectors
    ]
    data = [{"object": "embedding", "index": index, "embedding": value} for index, value in enumerate(values)]
    counts = {"prompt_tokens": call.prompt_tokens, "total_tokens": call.prompt_tokens}
    return {"object": "list", "data": data, "model": call.model, "usage": counts}


def _envelope(call: Call, *, streamed: bool, choices: list[Any]) -> dict[str, Any]:
    kind = ("chat.completion.chunk" if streamed else "chat.completion") if call.chat else "text_completion"
    return {
        "id": call.id,
        "object": kind,
        "created": call.created,
        "model": call.model,
        "system_fingerprint": FINGERPRINT,
        "choices": choices,
    }


def _tool_call(answer: ModelAnswer, arguments: str) -> dict[str, Any]:
    return {"id": "call_simulated", "type": "function", "function": {"name": answer.tool_name, "arguments": arguments}}


def _choice(call: Call, index: int, answer: ModelAnswer) -> dict[str, Any]:
    content = "".join(answer.content)
    end = {"logprobs": None, "finish_reason": answer.finish_reason}
    if not call.chat:
        return {"index": index, "text": content, **end}
    message: dict[str, Any] = {"role": "assistant", "content": content if answer.tool_name is None else None}
    if answer.reasoning:
        message["reasoning_content"] = "".join(answer.reasoning)
    if answer.tool_name is not None:
        message["tool_calls"] = [_tool_call(answer, "".join(answer.tool_arguments))]
    return {"index": index, "message": message, **end}


def _deltas(call: Call, answer: ModelAnswer) -> Iterator[tuple[dict[str, Any], str | None, int]]:
    """One choice's events: its content, its finish reason, its tokens."""
    if not call.chat:
        for piece in answer.content:
            yield {"text": piece}, None, 1
        yield {"text": ""}, answer.finish_reason, 0
        return
    yield {"delta": {"role": "assistant", "content": ""}}, None, 0
    for piece in answer.reasoning:
        yield {"delta": {"reasoning_content": piece}}, None, 1
    for piece in answer.content:
        yield {"delta": {"content": piece}}, None, 1
    if answer.tool_name is not None:
        yield {"delta": {"tool_calls": [{"index": 0, **_tool_call(answer, "")}]}}, None, 0
        for piece in answer.tool_arguments:
            yield {"delta": {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}}, None, 1
    yield {"delta": {}}, answer.finish_reason, 0
