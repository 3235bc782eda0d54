"""Streams as servers really send them, read whole, byte by byte and cut at random."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.apis.openai_stream import OpenAIStreamReader
from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_OUTPUT, SAW_TERMINAL, SAW_TOKEN, ErrorFacts, ResponseFacts
from tests.wire.counted import Read, counted
from tests.wire.cuts import CALM, cut, three_ways

VISIBLE = SAW_TOKEN | SAW_OUTPUT
DONE = b"data: [DONE]\n\n"


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(*choices: dict[str, Any], **members: Any) -> bytes:
    return event({"object": "chat.completion.chunk", "model": "m", "choices": list(choices), **members})


def delta(finish_reason: str | None = None, index: int = 0, **news: Any) -> dict[str, Any]:
    return {"index": index, "delta": news, "finish_reason": finish_reason}


def saw(stream: bytes) -> int:
    """The bits of one feed by a fresh reader."""
    return OpenAIStreamReader().feed(stream)


def facts(*events: bytes) -> Read:
    """The facts of a stream; the same for every cut, or this fails."""
    found = []
    for pieces in three_ways(b"".join(events)):
        reader = OpenAIStreamReader()
        for piece in pieces:
            reader.feed(piece)
        found.append(counted(reader))
    assert all(other == found[0] for other in found)
    return found[0]


def test_a_chat_stream_with_usage_at_its_end() -> None:
    assert facts(
        chunk(delta(role="assistant", content=""), usage=None),
        chunk(delta(content="Hel"), usage=None),
        b": keep-alive\n\n",
        chunk(delta(content="lo"), usage=None),
        chunk(delta("stop"), usage=None),
        chunk(usage={"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11,
                     "prompt_tokens_details": {"cached_tokens": 4},
                     "completion_tokens_details": {"reasoning_tokens": 1}}),
        DONE,
    ) == Read(
        response_model="m", finish_reason="stop", prompt_tokens=9, completion_tokens=2, total_tokens=11,
        cached_tokens=4, reasoning_tokens=1, usage_source=UsageSource.REPORTED, content_chunks=2, terminal=True,
        tool_call_count=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "bits"),
    [
        (delta(role="assistant"), 0),
        (delta(content=""), 0),
        (delta(content=None, tool_calls=[], refusal=None, reasoning=""), 0),
        (delta(content="x"), VISIBLE),
        (delta(content="\ud83d"), VISIBLE),
        (delta(content="\u2028"), VISIBLE),
        (delta(reasoning="x"), SAW_TOKEN),
        (delta(reasoning_content="x"), SAW_TOKEN),
        (delta(reasoning_content="x", content="y"), VISIBLE),
        (delta(tool_calls=[{"index": 0, "function": {"arguments": "{"}}]), VISIBLE),
        (delta(function_call={"name": "f"}), VISIBLE),
        (delta(refusal="No."), VISIBLE),
        (delta(content=[{"type": "thinking", "thinking": []}]), SAW_TOKEN),
        (delta(content="", images=[{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]), VISIBLE),
        (delta(content="", images=[]), 0),
        (delta(audio={"id": "audio_1", "transcript": ""}), 0),
        (delta(audio={"id": "audio_1", "transcript": "Hi"}), VISIBLE),
        (delta(audio={"data": "AAAA"}), VISIBLE),
        (delta(audio={"expires_at": 7}), 0),
        (delta(audio="AAAA"), 0),
        (delta(reasoning_text="x"), SAW_TOKEN),
        (delta(thinking="x"), SAW_TOKEN),
        (delta(content="", reasoning_details=[{"type": "reasoning.text", "text": "x", "signature": None}]), SAW_TOKEN),
        (delta(reasoning_details=[{"type": "reasoning.text", "text": "", "signature": "s"}]), 0),
        (delta(reasoning_details=[{"type": "reasoning.summary", "summary": "x"}]), SAW_TOKEN),
        (delta(reasoning_details=[{"type": "reasoning.encrypted", "data": "gAAAA"}]), SAW_TOKEN),
        (delta(reasoning_details=[7, None, "x"]), 0),
        (delta(reasoning_details=[{"text": "x"}], content="y"), VISIBLE),
        (delta(thinking_blocks=[{"type": "thinking", "thinking": "x"}]), SAW_TOKEN),
        (delta(thinking_blocks=[{"type": "thinking", "thinking": "", "signature": "s"}]), 0),
        (delta(annotations=[{"type": "url_citation"}]), 0),
        ({"text": "", "reasoning": "x"}, SAW_TOKEN),
        ({"text": "", "logprobs": {"tokens": []}}, 0),
        (delta(content=[{"type": "text", "text": "x"}]), VISIBLE),
        (delta(content="x", index=3), VISIBLE),
        (delta("stop"), SAW_TERMINAL),
        (delta("length", content="x"), VISIBLE | SAW_TERMINAL),
        ({"text": "x"}, VISIBLE),
        ({"text": ""}, 0),
        ({"text": "", "finish_reason": "stop"}, SAW_TERMINAL),
        ({"index": 0, "delta": None}, 0),
        ({"index": 0, "content_filter_results": {}}, 0),
        ({"delta": {"content": "x"}, "index": "0"}, VISIBLE),
        ({"delta": {"content": "x"}, "finish_reason": 5}, VISIBLE),
        ({"delta": "x", "finish_reason": "stop"}, SAW_TERMINAL),
    ],
)
def test_what_one_choice_shows(choice: dict[str, Any], bits: int) -> None:
    assert saw(chunk(choice)) == bits
    assert facts(chunk(choice)).content_chunks == bool(bits & SAW_TOKEN)
    assert not facts(chunk(choice)).malformed


@pytest.mark.parametrize("value", [{}, {"choices": []}, {"choices": None}, {"choices": [None]}, {"choices": {}}])
def test_a_chunk_without_choices_shows_nothing(value: object) -> None:
    assert saw(event(value)) == 0
    assert facts(event(value)) == Read(content_chunks=0)


def test_one_odd_choice_does_not_cost_the_others() -> None:
    assert saw(event({"choices": [7, delta(content="x"), None]})) == VISIBLE


def test_azure_begins_with_an_empty_model_and_no_choices() -> None:
    stream = (
        event({"choices": [], "model": "", "prompt_filter_results": [{}]}),
        event({"choices": [delta(content="x")], "model": "gpt-4o-2024"}),
        event({"choices": [{"index": 0, "content_filter_offsets": {}}], "model": ""}),
        event({"choices": [delta("stop")], "model": "other"}),
        DONE,
    )
    assert facts(*stream) == Read(
        response_model="gpt-4o-2024", finish_reason="stop", content_chunks=1, terminal=True, tool_call_count=0
    )


def test_running_usage_is_replaced_and_never_added() -> None:
    running = [chunk(delta(content="x"), usage={"prompt_tokens": 5, "completion_tokens": n}) for n in (1, 2, 3)]
    assert facts(*running).completion_tokens == 3
    assert facts(*running).total_tokens == 8


def test_timings_in_every_event_are_totals_so_far_and_the_last_ones_count() -> None:
    """llama.cpp with `timings_per_token`."""
    running = [
        chunk(delta(content="x"), timings={"cache_n": 5, "prompt_n": 4, "predicted_n": n, "prompt_ms": 3.5,
                                           "predicted_ms": 10.0 * n})
        for n in (1, 2, 3)
    ]  # fmt: skip
    found = facts(*running, chunk(delta("stop")), DONE)
    assert found.further == {"server_prompt_ms": 3.5, "server_generation_ms": 30.0}
    assert (found.prompt_tokens, found.completion_tokens, found.cached_tokens) == (9, 3, 5)
    told = facts(*running, chunk(usage={"prompt_tokens": 9, "completion_tokens": 3}), DONE)
    assert (told.total_tokens, told.cached_tokens) == (12, 5)


def test_what_lm_studio_and_openrouter_add_is_kept() -> None:
    end = chunk(delta("stop"), stats={"generation_time": 0.5}, service_tier="flex", id="gen-1",
                usage={"prompt_tokens": 1, "completion_tokens": 2, "cost": 0.25})  # fmt: skip
    found = facts(b": OPENROUTER PROCESSING\n\n", chunk(delta(content="x"), id="gen-1"), end, DONE)
    assert (found.further, found.upstream_cost_usd, found.service_tier, found.response_id) == (
        {"server_generation_ms": 500.0}, 0.25, "flex", "gen-1"
    )  # fmt: skip


def test_a_choice_that_failed_is_an_error_and_its_reason_no_end() -> None:
    failed = chunk({**delta("error", content=""), "error": {"code": 502, "message": "Provider disconnected"}})
    assert saw(failed) == SAW_ERROR
    found = facts(chunk(delta(content="x")), failed)
    assert (found.error, found.terminal, found.finish_reason) == (
        ErrorFacts(code="502", message="Provider disconnected"), False, None
    )  # fmt: skip


def test_tool_calls_are_counted_across_events_and_none_is_known_without_a_choice() -> None:
    first = chunk(delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]))
    more = chunk(delta(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]))
    second = chunk(delta(tool_calls=[{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}]))
    assert facts(first, more, second, chunk(delta("tool_calls")), DONE).tool_call_count == 2
    assert facts(chunk(delta(content="x")), DONE).tool_call_count == 0
    assert facts(DONE).tool_call_count is None


def test_keep_alive_comments_and_blank_lines_are_nothing() -> None:
    """DeepSeek."""
    found = facts(b": keep-alive\n\n" * 3, b"\n\n\n", chunk(delta(content="x")), b": keep-alive\n\n", DONE)
    assert (found.content_chunks, found.terminal, found.malformed) == (1, True, False)


def test_a_report_in_the_names_of_responses_is_one() -> None:
    found = facts(chunk(delta(content="x")), chunk(delta("stop"), usage={"input_tokens": 5, "output_tokens": 2}), DONE)
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == (5, 2, 7)


def test_zeros_before_the_end_are_no_report() -> None:
    zeros = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    begun = [event({"choices": [{"text": "x"}], "usage": zeros}) for _ in range(3)]
    ended = event({"choices": [{"text": "", "finish_reason": "stop"}], "usage": zeros})
    assert facts(*begun).usage_source == UsageSource.NONE
    assert facts(*begun, ended).prompt_tokens is None
    real = event({"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}})
    assert facts(*begun, ended, real, DONE).total_tokens == 7
    told = facts(*begun, ended, event({"choices": [], "usage": zeros}), DONE)
    assert (told.prompt_tokens, told.usage_source) == (0, UsageSource.REPORTED)


@pytest.mark.parametrize("nothing", [{}, {"prompt_tokens": 0, "completion_tokens": 0}, {"prompt_tokens": None}])
def test_zeros_and_empty_objects_do_not_replace_a_report(nothing: dict[str, Any]) -> None:
    report = chunk(delta("stop"), usage={"prompt_tokens": 4, "completion_tokens": 3})
    assert facts(report, chunk(usage=nothing), DONE).total_tokens == 7
    assert facts(chunk(delta("stop")), chunk(usage=nothing), report, DONE).total_tokens == 7


def test_nonsense_counts_are_refused_and_told() -> None:
    refused = facts(chunk(usage={"prompt_tokens": "9", "completion_tokens": 2}), DONE)
    assert (refused.prompt_tokens, refused.completion_tokens, refused.total_tokens) == (None, 2, None)
    assert refused.usage_rejected
    assert refused.usage_source == UsageSource.REPORTED
    nothing = facts(chunk(usage={"prompt_tokens": -9, "completion_tokens": True}))
    assert nothing.usage_rejected
    assert nothing.usage_source == UsageSource.NONE


@pytest.mark.parametrize("usage", ["many", 7, [], True])
def test_a_usage_that_is_no_object_is_no_report(usage: object) -> None:
    assert facts(chunk(usage=usage), DONE) == Read(response_model="m", content_chunks=0, terminal=True)


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"1" * 5000, b"99999999999999999999", b"-1"])
def test_a_count_beyond_every_number_is_refused_and_the_others_stay(number: bytes) -> None:
    found = facts(b'data: {"usage":{"prompt_tokens":%b,"completion_tokens":3},"model":"m"}\n\n' % number)
    assert (found.prompt_tokens, found.completion_tokens, found.usage_rejected) == (None, 3, True)
    assert found.response_model == "m"


@pytest.mark.parametrize("bad", [b"caf\xe9", b"\\ud83d", b"\xff\xff"])
def test_an_error_is_seen_though_its_text_is_no_unicode(bad: bytes) -> None:
    stream = b'data: {"error":{"code":%b,"type":"t","message":"%b"}}\n\n' % (b"7" * 5000, bad)
    assert saw(stream) == SAW_ERROR
    error = facts(stream).error
    assert error is not None
    assert error.type == "t"
    assert "\ufffd" in (error.message or "")


def test_the_finish_reason_is_that_of_the_first_choice_that_gave_one() -> None:
    assert facts(chunk(delta("length", index=1)), chunk(delta("stop", index=0))).finish_reason == "length"
    assert facts(chunk(delta("length", index=1), delta("stop", index=0))).finish_reason == "stop"
    assert facts(chunk(delta("", index=0), delta("stop", index=1))).finish_reason == "stop"


@pytest.mark.parametrize(
    ("reason", "is_told"), [("stop", True), ("length", True), ("content_filter", False), ("tool_calls", False)]
)
def test_a_refusal_is_told_beside_a_common_end(reason: str, is_told: bool) -> None:
    found = facts(chunk(delta(refusal="I cannot")), chunk(delta(refusal=" help.")), chunk(delta(reason)), DONE)
    assert (found.finish_reason, found.refused) == (reason, is_told)
    assert (found.content_chunks, found.terminal, found.error) == (2, True, None)


def test_a_refusal_that_is_empty_or_breaks_off_is_none() -> None:
    answered = facts(chunk(delta(content="Yes", refusal=None)), chunk(delta("stop", refusal="")), DONE)
    assert (answered.finish_reason, answered.refused) == ("stop", False)
    assert not facts(chunk(delta(refusal="I"))).refused
    assert facts(chunk(delta("stop", content="x")), chunk(delta(index=1, refusal="I"))).refused


def test_the_end_marker_alone_is_terminal_and_so_is_a_finish_reason_alone() -> None:
    assert saw(DONE) == SAW_TERMINAL
    assert saw(b"data:  [DONE] \n\n") == SAW_TERMINAL
    assert facts(DONE) == Read(terminal=True, content_chunks=0)
    assert facts(chunk(delta("stop"))).terminal
    assert not facts(chunk(delta(content="x"))).terminal


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (event({"error": {"message": "boom", "type": "server_error", "code": 500, "param": None}}),
         ErrorFacts(code="500", type="server_error", message="boom")),
        (event({"error": "out of memory"}), ErrorFacts(message="out of memory")),
        (event({"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}),
         ErrorFacts(code="400", type="BadRequestError", message="too long")),
        (b'error: {"code":500,"message":"slot","type":"server_error"}\n\n',
         ErrorFacts(code="500", type="server_error", message="slot")),
        (b"error: plain words\n\n", ErrorFacts(message="plain words")),
        (b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n',
         ErrorFacts(type="overloaded_error", message="busy")),
        (b'event: error\ndata: {"message":"flat","code":"x"}\n\n', ErrorFacts(code="x", message="flat")),
        (b"event: error\ndata: upstream died\n\n", ErrorFacts(message="upstream died")),
        (event({"error": {"code": 502, "message": "Provider returned error"}, "model": "m",
                "choices": [delta("error", content="")]}), ErrorFacts(code="502", message="Provider returned error")),
    ],
)  # fmt: skip
def test_an_error_in_any_shape_is_seen_and_leaves_terminal_as_it_was(stream: bytes, error: ErrorFacts) -> None:
    assert saw(stream) == SAW_ERROR
    assert facts(stream).error == error
    assert not facts(stream).terminal
    assert not facts(stream).malformed


def test_an_error_before_the_end_marker_is_still_an_error() -> None:
    both = facts(chunk(delta(content="x")), event({"error": {"message": "boom"}}), DONE)
    assert both.error == ErrorFacts(message="boom")
    assert both.terminal
    assert both.content_chunks == 1


def test_the_first_error_is_the_cause() -> None:
    assert facts(event({"error": "cause"}), event({"error": "effect"})).error == ErrorFacts(message="cause")


@pytest.mark.parametrize("nothing", [None, {}, "", False])
def test_an_empty_error_member_is_no_error(nothing: object) -> None:
    assert facts(chunk(delta(content="x"), error=nothing)).error is None


def test_keys_in_an_error_event_are_masked() -> None:
    error = facts(event({"error": {"message": "Incorrect API key provided: sk-proj-abcdef1234567890."}})).error
    assert error is not None
    assert error.message == "Incorrect API key provided: sk-***"


def test_what_cannot_be_understood_is_told_and_reading_goes_on() -> None:
    found = facts(b"data: {nonsense\n\n", b"data: 7\n\n", b"data: \n\n", chunk(delta(content="x")), DONE)
    assert found.malformed
    assert found.content_chunks == 1
    assert found.terminal
    assert not facts(b"data: \n\n").malformed


def test_a_large_event_that_is_no_json_is_told_and_reading_goes_on() -> None:
    reader = OpenAIStreamReader()
    for _ in range(100):
        assert reader.feed(b"data: " + b"x" * 5000) == 0
    assert reader.feed(b"\n\n" + chunk(delta(content="x"))) == VISIBLE
    assert reader.finish().malformed


def test_an_event_that_the_end_cuts_short_is_truncation_and_not_malformed() -> None:
    found = facts(chunk(delta(content="x")), chunk(delta(content="y"))[:-20])
    assert (found.content_chunks, found.terminal, found.malformed) == (1, False, False)


def test_an_end_marker_without_its_blank_line_counts() -> None:
    assert facts(chunk(delta(content="x")), b"data: [DONE]").terminal


def test_an_empty_stream_has_no_facts() -> None:
    assert facts() == Read(content_chunks=0)


def test_crlf_streams_read_the_same() -> None:
    stream = chunk(delta(content="x")) + chunk(delta("stop"), usage={"prompt_tokens": 1, "completion_tokens": 1}) + DONE
    assert facts(stream.replace(b"\n", b"\r\n")) == facts(stream) == facts(stream.replace(b"\n", b"\r"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([
        "choices", "delta", "content", "usage", "error", "finish_reason", "index", "model", "text", "tool_calls",
        "prompt_tokens", "message", "object", "reasoning"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@CALM
@given(st.lists(JSON, max_size=4), st.data())
def test_any_json_raises_nothing_and_reads_the_same_under_every_cut(values: list[Any], data: st.DataObject) -> None:
    stream = b"".join(map(event, values))
    whole, pieces = OpenAIStreamReader(), OpenAIStreamReader()
    bits = whole.feed(stream)
    cut_bits = 0
    for piece in data.draw(cut(stream)):
        cut_bits |= pieces.feed(piece)
    assert cut_bits == bits
    assert pieces.finish() == whole.finish()


@CALM
@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"data: ", b"\n\n", b'{"choices":[', b"}"]), max_size=12))
def test_random_bytes_raise_nothing(pieces: list[bytes]) -> None:
    reader = OpenAIStreamReader()
    for piece in pieces:
        assert 0 <= reader.feed(piece) <= 15
    assert isinstance(reader.finish(), ResponseFacts)


PARTS = {"prompt_tokens": 40, "completion_tokens": 12, "total_tokens": 52}


@pytest.mark.parametrize(
    "last",
    [
        chunk(delta("stop"), x_groq={"id": "req_1", "usage": PARTS}),  # Groq, asked for or not
        chunk(delta("stop") | {"usage": PARTS}),  # Kimi
        chunk(delta("stop"), usage=PARTS),
        chunk(delta("stop"), usage=PARTS, x_groq={"usage": PARTS}),
    ],
)
def test_usage_is_read_wherever_servers_put_it(last: bytes) -> None:
    found = facts(chunk(delta(content="Hi"), x_groq={"id": "req_1"}), last, DONE)
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == (40, 12, 52)


def test_parts_of_a_report_come_one_after_the_other() -> None:
    found = facts(
        chunk(delta(content="Hi"), usage={"prompt_tokens": 40}),
        chunk(delta("stop"), usage={"prompt_tokens": 0, "completion_tokens": 12}),
        chunk(usage={"prompt_tokens": None, "completion_tokens": 0, "total_tokens": 52}),
        DONE,
    )
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == (40, 12, 52)
