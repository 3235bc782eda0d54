"""Whole JSON bodies, small and large, agree with what ``json.loads`` finds in them."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.apis.openai_body import OpenAIBodyReader
from llm_metrics_proxy.wire.apis.openai_usage import read_usage
from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_TERMINAL, ErrorFacts, ResponseFacts
from llm_metrics_proxy.wire.facts import short_text
from tests.wire.counted import Read, counted
from tests.wire.cuts import CALM, cut, random_pieces, three_ways

CHAT: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": 'He said "\\" {[ \u2028 😀'},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "model": "m",
    "usage": {
        "prompt_tokens": 9,
        "completion_tokens": 12,
        "total_tokens": 21,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    },
}
CHAT_FACTS = Read(
    response_model="m", finish_reason="stop", prompt_tokens=9, completion_tokens=12, total_tokens=21, cached_tokens=3,
    reasoning_tokens=2, usage_source=UsageSource.REPORTED, terminal=True, tool_call_count=0, response_id="chatcmpl-1",
)  # fmt: skip
SMALL = 1  # so low a bound that every body counts as large
LARGE = 1 << 20


def read(pieces: list[bytes], bound: int) -> Read:
    reader = OpenAIBodyReader(bound)
    for piece in pieces:
        reader.feed(piece)
    return counted(reader)


def facts(body: bytes) -> Read:
    """The facts; the same for every cut and for every bound, or this fails."""
    found = [read(pieces, bound) for pieces in three_ways(body) for bound in (SMALL, 40, LARGE)]
    assert all(other == found[0] for other in found)
    return found[0]


def refused(refusal: Any, finish_reason: str = "stop", **more: Any) -> bytes:
    message = {"role": "assistant", "content": None, "refusal": refusal}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return json.dumps({**CHAT, "choices": [choice], **more}).encode()


@pytest.mark.parametrize("more", [{}, {"service_tier": 5}, {"padding": "x" * 100_000}], ids=["plain", "odd", "large"])
def test_a_refusal_is_told_beside_a_common_end(more: dict[str, Any]) -> None:
    for text, reason, is_told in (
        ("I cannot help with that.", "stop", True),
        ("I" * 100_000, "length", True),
        ("I cannot", "content_filter", False),
        (None, "stop", False),
        ("", "stop", False),
    ):
        told = facts(refused(text, reason, **more))
        assert (told.finish_reason, told.refused) == (reason, is_told)


def test_what_a_choice_reports_counts_in_whole_answers_too() -> None:
    usage = {"prompt_tokens": 8, "completion_tokens": 3, "total_tokens": 11}
    choice = {"index": 0, "message": {"content": "Yes"}, "finish_reason": "stop", "usage": usage}
    told = facts(json.dumps({"model": "kimi", "choices": [choice]}).encode())
    assert (told.prompt_tokens, told.completion_tokens, told.total_tokens) == (8, 3, 11)


def test_one_refusal_among_several_choices_is_told() -> None:
    message = {"role": "assistant", "content": "Yes"}
    choices = [
        {"index": 0, "message": message, "finish_reason": "stop"},
        {"index": 1, "message": {**message, "content": None, "refusal": "No"}, "finish_reason": "stop"},
    ]
    assert facts(json.dumps({**CHAT, "choices": choices}).encode()).refused


def oracle(body: bytes) -> Read:
    """The slow way: everything decoded, then looked at."""
    document = json.loads(body)
    usage = read_usage(document["usage"]) if isinstance(document.get("usage"), dict) else read_usage({})
    choices = document["choices"] if isinstance(document.get("choices"), list) else []
    reasons = [
        (choice["index"] if isinstance(choice.get("index"), int) else 0, position, choice["finish_reason"])
        for position, choice in enumerate(choices)
        if isinstance(choice, dict) and isinstance(choice.get("finish_reason"), str) and choice["finish_reason"]
    ]
    model, number = document.get("model"), document.get("id")
    messages = [choice.get("message") for choice in choices if isinstance(choice, dict)]
    calls = [message.get("tool_calls") for message in messages if isinstance(message, dict)]
    return Read(
        response_model=model[:256] if isinstance(model, str) and model else None,
        finish_reason=min(reasons)[2][:256] if reasons else None,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
        cached_tokens=usage.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        usage_source=UsageSource.NONE if usage.is_empty else UsageSource.REPORTED,
        usage_rejected=usage.rejected,
        terminal=True,
        tool_call_count=sum(len(call) for call in calls if isinstance(call, list)) if messages else None,
        response_id=short_text(number),
    )


@pytest.mark.parametrize("indent", [None, 2])
def test_a_chat_answer_is_read_at_every_size_and_cut(indent: int | None) -> None:
    assert facts(json.dumps(CHAT, indent=indent).encode()) == CHAT_FACTS


def test_a_body_that_is_whole_in_its_first_piece_shows_its_bits() -> None:
    assert OpenAIBodyReader().feed(json.dumps(CHAT).encode()) == SAW_TERMINAL
    assert OpenAIBodyReader().feed(b'{"error":{"message":"x"}}\n') == SAW_TERMINAL | SAW_ERROR
    reader = OpenAIBodyReader()
    assert reader.feed(b'{"model":"m","error":{}') == 0
    assert reader.feed(b"}") == 0
    assert reader.finish() == ResponseFacts(response_model="m", terminal=True)


def test_blank_lines_before_the_body_are_nothing() -> None:
    assert facts(b"\n\n\r\n  \n" + json.dumps(CHAT).encode() + b"\n\n") == CHAT_FACTS


def test_embeddings_have_no_completion() -> None:
    body = {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -1e-7] * 50}, {"embedding": "AAAA" * 99}],
        "model": "e",
        "usage": {"prompt_tokens": 8, "total_tokens": 8},
    }
    assert facts(json.dumps(body).encode()) == Read(
        response_model="e", prompt_tokens=8, total_tokens=8, usage_source=UsageSource.REPORTED, terminal=True
    )


def test_the_finish_reason_is_that_of_the_lowest_index_that_gave_one() -> None:
    choices = [{"index": 2, "finish_reason": "a"}, {"index": 0}, {"index": 1, "finish_reason": "b"}]
    assert facts(json.dumps({"choices": choices}).encode()).finish_reason == "b"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"error": {"code": 502, "message": "Provider returned error", "metadata": {"raw": "x"}}, "user_id": "u"},
         ErrorFacts(code="502", message="Provider returned error")),
        ({"error": "text"}, ErrorFacts(message="text")),
        ({"object": "error", "message": "too long", "type": "BadRequestError", "code": 400},
         ErrorFacts(code="400", type="BadRequestError", message="too long")),
    ],
)  # fmt: skip
def test_an_error_inside_a_success_is_an_error(body: dict[str, Any], error: ErrorFacts) -> None:
    assert facts(json.dumps(body).encode()) == Read(error=error, terminal=True)


def test_an_error_inside_a_choice_is_an_error_too() -> None:
    choice = {"index": 0, "finish_reason": "error", "error": {"code": 502, "message": "Provider disconnected"}}
    found = facts(json.dumps(CHAT | {"choices": [choice]}).encode())
    assert found.error == ErrorFacts(code="502", message="Provider disconnected")


def test_tool_calls_of_all_choices_are_counted() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":[1,{"b":2}]}'}}
    choices = [
        {"index": 0, "message": {"tool_calls": [call, call]}},
        {"index": 1, "message": {"function_call": {"name": "f"}, "tool_calls": None}},
        {"index": 2, "message": {"content": "none"}},
    ]
    assert facts(json.dumps(CHAT | {"choices": choices}).encode()).tool_call_count == 3
    assert facts(json.dumps(CHAT | {"choices": []}).encode()).tool_call_count is None


def test_openrouter_names_its_cost_and_openai_its_tier() -> None:
    usage = {**CHAT["usage"], "cost": 0.00014, "cost_details": {"upstream_inference_cost": None}}
    found = facts(json.dumps(CHAT | {"usage": usage, "service_tier": "default", "provider": "X"}).encode())
    assert (found.upstream_cost_usd, found.service_tier, found.response_id) == (0.00014, "default", "chatcmpl-1")


def test_llama_cpps_timings_are_kept_and_stand_in_for_a_missing_usage() -> None:
    timings = {"cache_n": 7, "prompt_n": 2, "prompt_ms": 30.5, "predicted_n": 12, "predicted_ms": 661.0}
    with_usage = facts(json.dumps(CHAT | {"usage": {"prompt_tokens": 9}, "timings": timings}).encode())
    assert (with_usage.prompt_tokens, with_usage.cached_tokens, with_usage.completion_tokens) == (9, 7, None)
    assert with_usage.further == {"server_prompt_ms": 30.5, "server_generation_ms": 661.0}
    without = facts(json.dumps({"choices": [], "timings": timings}).encode())
    assert (without.prompt_tokens, without.completion_tokens, without.total_tokens, without.cached_tokens) == (
        9, 12, 21, 7
    )  # fmt: skip
    assert without.usage_source == UsageSource.REPORTED


def test_lm_studios_stats_are_kept() -> None:
    stats = {"tokens_per_second": 51.4, "time_to_first_token": 0.111, "generation_time": 0.954, "stop_reason": "eos"}
    found = facts(json.dumps(CHAT | {"stats": stats, "model_info": {"arch": "x"}, "runtime": {}}).encode())
    assert (found.further, found.total_tokens) == ({"server_generation_ms": 954.0}, 21)


@pytest.mark.parametrize("nothing", [None, {}, "", []])
def test_an_empty_error_member_is_no_error(nothing: object) -> None:
    assert facts(json.dumps(CHAT | {"error": nothing}).encode()) == CHAT_FACTS


@pytest.mark.parametrize("wrong", [7, "x", [], {}, None, True, [[]], [{"finish_reason": 7}]])
@pytest.mark.parametrize("field", ["model", "choices", "usage", "object", "id"])
def test_a_wrongly_typed_value_costs_only_its_own_facts(field: str, wrong: object) -> None:
    body = json.dumps(CHAT | {field: wrong}).encode()
    assert facts(body) == oracle(body)


def test_nonsense_counts_are_refused_and_told() -> None:
    found = facts(b'{"usage":{"prompt_tokens":"9","completion_tokens":2,"total_tokens":11.5}}')
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == (None, 2, None)
    assert found.usage_rejected


@pytest.mark.parametrize("end", [1, 30, 150, 300, 380])
def test_a_body_that_breaks_off_gives_what_was_whole_in_it(end: int) -> None:
    body = json.dumps({"model": "m", **CHAT}).encode()
    found = facts(body[:end])
    assert not found.terminal
    assert not found.malformed
    assert found.response_model == ("m" if end > 15 else None)


def test_bytes_that_are_no_unicode_in_a_key_cost_the_same_however_the_body_is_cut() -> None:
    body = json.dumps(CHAT).encode().replace(b"choices", b"cho\x81ices").replace(b'"completion_tokens":', b'"co\x9e":')
    for pieces in three_ways(body):
        found = read(pieces, LARGE)
        assert (found.prompt_tokens, found.completion_tokens, found.response_model) == (9, None, "m")


def test_an_empty_body_has_no_facts() -> None:
    assert facts(b"") == Read()


@pytest.mark.parametrize("body", [b"[1]", b"}", b'{"model":}', b"<html></html>", b"{}{}", b'{"model":"m"}x'])
def test_what_is_no_json_object_is_malformed(body: bytes) -> None:
    for pieces in three_ways(body):
        for bound in (SMALL, LARGE):
            found = read(pieces, bound)
            assert not found.terminal
            assert found.malformed or not body.startswith(b"{")


def test_nonsense_in_a_part_that_is_not_needed_does_not_cost_the_facts() -> None:
    """Python servers write NaN, which is not JSON, as the logarithm of a probability of zero."""
    body = json.dumps(CHAT | {"choices": [{"finish_reason": "stop", "logprobs": {"a": float("nan")}}]}).encode()
    small, large = read([body], LARGE), read([body], SMALL)
    assert small.malformed
    assert (small.prompt_tokens, small.finish_reason, small.terminal) == (9, "stop", True)
    assert (large.prompt_tokens, large.finish_reason, large.terminal) == (9, "stop", True)


@pytest.mark.parametrize(
    "value",
    ["x" * 3_000_000, 'esc " \\ \n ' * 100_000, [[0.125, -3.5e-9, 1]] * 30_000, [{"a": ["b", {"c": "]"}]}] * 20_000],
    ids=["text", "escapes", "numbers", "nested"],
)  # fmt: skip
def test_a_large_body_is_read_in_bounded_memory(value: object) -> None:
    body = json.dumps({"data": value, **CHAT}).encode()
    pieces = random_pieces(body, 1, longest=60_000)
    tracemalloc.start()
    try:
        assert read(pieces, 256 * 1024) == CHAT_FACTS
        assert tracemalloc.get_traced_memory()[1] < 1_500_000
    finally:
        tracemalloc.stop()


def test_a_large_message_is_jumped_over() -> None:
    body = json.dumps(
        CHAT | {"choices": [{"message": {"content": "é\n" * 300_000}, "finish_reason": "length"}]}
    ).encode()
    assert read(random_pieces(body, 2, longest=60_000), 256 * 1024).finish_reason == "length"


SOME = st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "model": SOME,
        "choices": st.none() | st.lists(st.dictionaries(
            st.sampled_from(["finish_reason", "index", "message", "text"]), SOME | st.lists(SOME), max_size=4)),
        "usage": SOME | st.dictionaries(st.sampled_from(
            ["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"]), SOME | st.just(
            {"cached_tokens": 5})),
        "data": st.lists(SOME | st.lists(SOME)),
        "error": st.just(None),
    },
)  # fmt: skip


@CALM
@given(BODIES, st.sampled_from([SMALL, 30, LARGE]), st.booleans(), st.data())
def test_it_equals_the_oracle_under_every_cut(
    document: dict[str, Any], bound: int, ascii_only: bool, data: st.DataObject
) -> None:
    body = json.dumps(document, ensure_ascii=ascii_only).encode()
    assert read(data.draw(cut(body)), bound) == oracle(body)


@CALM
@given(st.lists(st.binary(max_size=30) | st.sampled_from([b'{"usage":', b'{"choices":[', b"}", b'"'])), st.booleans())
def test_random_bytes_raise_nothing(pieces: list[bytes], small: bool) -> None:
    assert isinstance(read(pieces, SMALL if small else LARGE), ResponseFacts)
