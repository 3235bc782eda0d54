"""Streams of Amazon Bedrock and Cohere, written from their documentation."""

from typing import Any, Final

from tests.wire.aws_messages import chunk, event
from tests.wire.streams import compact, named

CONVERSE_USAGE: Final = {
    "inputTokens": 18, "outputTokens": 386, "totalTokens": 7906, "cacheReadInputTokens": 2,
    "cacheWriteInputTokens": 7500, "cacheDetails": [{"inputTokens": 7500, "ttl": "5m"}], "serverToolUsage": {},
}  # fmt: skip


def delta(index: int, padding: str = "abc", **news: Any) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": news, "p": padding})


CONVERSE: Final = [
    event("messageStart", {"p": "abcdefghij", "role": "assistant"}),
    delta(0, reasoningContent={"text": "Let me think."}),
    delta(0, reasoningContent={"signature": "EqQBCgIYAhIM"}),
    event("contentBlockStop", {"contentBlockIndex": 0, "p": "ab"}),
    delta(1, text="Hello"),
    delta(1, "abcdef", text=" there, Bär"),
    event("contentBlockStop", {"contentBlockIndex": 1, "p": "ab"}),
    event("contentBlockStart", {"contentBlockIndex": 2, "start": {"toolUse": {"name": "look", "toolUseId": "t_1"}}}),
    delta(2, toolUse={"input": ""}),
    delta(2, toolUse={"input": '{"at":'}),
    delta(2, toolUse={"input": ' "sky"}'}),
    event("contentBlockStop", {"contentBlockIndex": 2, "p": "ab"}),
    event("messageStop", {"p": "abcdefgh", "stopReason": "tool_use"}),
    event("metadata", {"metrics": {"latencyMs": 1207}, "p": "ab", "serviceTier": {"type": "priority"},
                       "usage": CONVERSE_USAGE}),
]  # fmt: skip

CONVERSE_ANSWER: Final[dict[str, Any]] = {
    "output": {"message": {"role": "assistant", "content": [
        {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "Eq"}}}, {"text": "Hello"},
        {"toolUse": {"name": "look", "toolUseId": "tooluse_1", "input": {"at": "sky"}}},
    ]}},
    "stopReason": "tool_use", "usage": CONVERSE_USAGE, "metrics": {"latencyMs": 1207},
    "serviceTier": {"type": "priority"}, "trace": {"promptRouter": {"invokedModelId": "arn:aws:bedrock:::m"}},
}  # fmt: skip

METRICS: Final = {
    "inputTokenCount": 7, "outputTokenCount": 126, "invocationLatency": 4069, "firstByteLatency": 1117,
    "cacheReadInputTokenCount": 14486, "cacheWriteInputTokenCount": 2238,
}  # fmt: skip
PLAIN_METRICS: Final = {"inputTokenCount": 5, "outputTokenCount": 3, "invocationLatency": 900, "firstByteLatency": 300}


def ended(value: dict[str, Any], metrics: dict[str, Any] = PLAIN_METRICS) -> bytes:
    return chunk({**value, "amazon-bedrock-invocationMetrics": metrics})


INVOKED_CLAUDE: Final = [
    chunk({"type": "message_start", "message": {"id": "msg_bdrk_1", "model": "claude-sonnet-4-5", "content": [],
           "usage": {"input_tokens": 7, "cache_creation_input_tokens": 2238, "cache_read_input_tokens": 14486,
                     "output_tokens": 1}}}),
    chunk({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}),
    chunk({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm"}}),
    chunk({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
    chunk({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hello"}}),
    chunk({"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "name": "look"}}),
    chunk({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{}"}}),
    chunk({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 126}}),
    ended({"type": "message_stop"}, METRICS),
]  # fmt: skip
# By maker: the stream, and why it ended.
INVOKED: Final[dict[str, tuple[list[bytes], str | None]]] = {
    "nova": ([
        chunk({"messageStart": {"role": "assistant"}}),
        chunk({"contentBlockDelta": {"delta": {"text": "Hel"}, "contentBlockIndex": 0}}),
        chunk({"contentBlockDelta": {"delta": {"text": "lo"}, "contentBlockIndex": 0}}),
        chunk({"contentBlockStop": {"contentBlockIndex": 0}}),
        chunk({"messageStop": {"stopReason": "end_turn"}}),
        ended({"metadata": {"usage": {"inputTokens": 5, "outputTokens": 3}, "trace": {}}}),
    ], "end_turn"),
    "titan": ([
        chunk({"outputText": "Hel", "index": 0, "totalOutputTextTokenCount": None, "completionReason": None,
               "inputTextTokenCount": 5}),
        ended({"outputText": "lo", "index": 0, "totalOutputTextTokenCount": 3, "completionReason": "FINISH",
               "inputTextTokenCount": None}),
    ], "FINISH"),
    "llama": ([
        chunk({"generation": "Hel", "prompt_token_count": 5, "generation_token_count": 1, "stop_reason": None}),
        chunk({"generation": "lo", "prompt_token_count": None, "generation_token_count": 2, "stop_reason": None}),
        ended({"generation": "", "prompt_token_count": None, "generation_token_count": 3, "stop_reason": "stop"}),
    ], "stop"),
    "mistral": ([
        chunk({"outputs": [{"text": "Hel", "stop_reason": None}]}),
        ended({"outputs": [{"text": "lo", "stop_reason": "stop"}]}),
    ], "stop"),
    "mistral chat": ([
        chunk({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hel"}, "stop_reason": None}]}),
        ended({"choices": [{"index": 0, "message": {"role": "assistant", "content": "lo"}, "stop_reason": "stop"}]}),
    ], "stop"),
    "deepseek": ([
        chunk({"choices": [{"text": "Hel", "stop_reason": None}]}),
        ended({"choices": [{"text": "lo", "stop_reason": "length"}]}),
    ], "length"),
    "gpt-oss": ([
        chunk({"id": "chatcmpl-1", "model": "gpt-oss-20b", "choices": [{"index": 0, "delta": {"reasoning": "Hm"}}]}),
        chunk({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": "Hello"}}]}),
        chunk({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
        ended({"id": "chatcmpl-1", "choices": [],
               "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}}),
    ], "stop"),
    "ai21": ([
        chunk({"id": "a", "choices": [{"index": 0, "delta": {"role": "assistant"}}]}),
        chunk({"id": "a", "choices": [{"index": 0, "delta": {"content": "Hello"}}]}),
        ended({"id": "a", "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}],
               "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}}),
    ], "stop"),
    "command-r": ([
        chunk({"event_type": "stream-start", "generation_id": "g", "is_finished": False}),
        chunk({"event_type": "text-generation", "text": "Hello", "is_finished": False}),
        ended({"event_type": "stream-end", "finish_reason": "COMPLETE", "is_finished": True,
               "response": {"text": "Hello", "finish_reason": "COMPLETE", "generation_id": "g"}}),
    ], "COMPLETE"),
    "command": ([
        chunk({"text": "Hello", "is_finished": False}),
        ended({"is_finished": True, "finish_reason": "COMPLETE"}),
    ], "COMPLETE"),
}  # fmt: skip

# Cohere

COHERE_USAGE: Final = {
    "billed_units": {"input_tokens": 431, "output_tokens": 20}, "cached_tokens": 64,
    "tokens": {"input_tokens": 2190.0, "output_tokens": 24.0},
}  # fmt: skip


def told(kind: str, **message: Any) -> bytes:
    return named(kind, index=0, delta={"message": message})


COHERE: Final = [
    named("message-start", id="29f14a5a", delta={"message": {"role": "assistant", "content": [], "tool_plan": ""}}),
    told("tool-plan-delta", tool_plan="I will"),
    told("tool-plan-delta", tool_plan=" look"),
    told("content-start", content={"type": "thinking", "thinking": ""}),
    told("content-delta", content={"thinking": "Hm"}),
    named("content-end", index=0),
    told("content-start", content={"type": "text", "text": ""}),
    told("content-delta", content={"text": "Hello"}),
    told("content-delta", content={"text": " there"}),
    told("content-delta", content={"text": "!"}),
    told("citation-start", citations={"start": 0, "end": 5, "text": "Hello", "sources": []}),
    named("citation-end", index=0),
    named("content-end", index=0),
    told("tool-call-start", tool_calls={"id": "look_1", "function": {"name": "look", "arguments": ""}}),
    told("tool-call-delta", tool_calls={"function": {"arguments": '{"at":'}}),
    told("tool-call-delta", tool_calls={"function": {"arguments": '"sky"}'}}),
    named("tool-call-end", index=0),
    named("message-end", delta={"finish_reason": "TOOL_CALL", "usage": COHERE_USAGE}),
]  # fmt: skip
COHERE_ANSWER: Final[dict[str, Any]] = {
    "id": "29f14a5a", "finish_reason": "TOOL_CALL", "usage": COHERE_USAGE,
    "message": {"role": "assistant", "tool_plan": "I will look", "content": [{"type": "text", "text": "Hello"}],
                "tool_calls": [{"id": "look_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
}  # fmt: skip
COHERE_META: Final = {
    "api_version": {"version": "1"}, "billed_units": {"input_tokens": 13, "output_tokens": 3},
    "tokens": {"input_tokens": 79, "output_tokens": 5},
}  # fmt: skip
COHERE_V1_ANSWER: Final[dict[str, Any]] = {
    "response_id": "r", "text": "Hello there", "generation_id": "g", "finish_reason": "COMPLETE", "meta": COHERE_META,
    "tool_calls": [{"name": "look", "parameters": {}}],
}  # fmt: skip
COHERE_V1: Final = [
    compact(each) + b"\n"
    for each in (
        {"is_finished": False, "event_type": "stream-start", "generation_id": "g"},
        {"is_finished": False, "event_type": "text-generation", "text": "Hello"},
        {"is_finished": False, "event_type": "text-generation", "text": " there"},
        {
            "is_finished": False,
            "event_type": "tool-calls-generation",
            "tool_calls": [{"name": "look", "parameters": {}}],
        },
        {"is_finished": True, "event_type": "stream-end", "finish_reason": "COMPLETE", "response": COHERE_V1_ANSWER},
    )
]
