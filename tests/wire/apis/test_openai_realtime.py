"""A session's usage is the sum of its responses'."""

import pytest

from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.apis.openai_realtime import RealtimeReader, model_in_query
from llm_metrics_proxy.wire.base import ErrorFacts
from tests.wire.counted import Read
from tests.wire.streams import facts_of
from tests.wire.test_websocket import CLOSE, event, frame

USAGE = {
    "total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
    "input_token_details": {"text_tokens": 119, "audio_tokens": 13, "cached_tokens": 64},
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}  # fmt: skip
CREATED = event("session.created", session={"model": "gpt-realtime", "modalities": ["text"]})
SOUND = event("response.output_audio.delta", delta="A" * 900)
CALL = {"type": "function_call", "name": "f"}


def done(usage: object = USAGE, *output: object) -> bytes:
    return event("response.done", response={"id": "r", "status": "completed", "output": output, "usage": usage})


def facts(*frames: bytes) -> Read:
    return facts_of(RealtimeReader, *frames)


def test_a_session_of_two_responses() -> None:
    assert facts(CREATED, SOUND, done(USAGE, CALL), SOUND, SOUND, done(USAGE, {"type": "message"})) == Read(
        response_model="gpt-realtime", prompt_tokens=264, completion_tokens=242, total_tokens=506, cached_tokens=128,
        usage_source=UsageSource.REPORTED, terminal=True, tool_call_count=1,
    )  # fmt: skip


@pytest.mark.parametrize("usage", [None, 7, []])
def test_a_response_without_usage_adds_nothing(usage: object) -> None:
    assert facts(done(usage), done(), done(usage)).total_tokens == 253
    assert facts(done(usage)).usage_source == UsageSource.NONE


def test_nonsense_is_refused_and_the_other_reports_stay() -> None:
    found = facts(done({**USAGE, "input_tokens": -1}), done())
    assert (found.prompt_tokens, found.completion_tokens, found.usage_rejected) == (132, 242, True)


def heard(usage: object) -> bytes:
    return event("conversation.item.input_audio_transcription.completed", item_id="i", transcript="Hi", usage=usage)


IN_TOKENS = {"type": "tokens", "input_tokens": 14, "output_tokens": 5, "total_tokens": 19,
             "input_token_details": {"text_tokens": 0, "audio_tokens": 14}}  # fmt: skip


def test_what_was_written_down_of_speech_is_used_beside_the_responses() -> None:
    found = facts(CREATED, heard(IN_TOKENS), SOUND, done(), heard(IN_TOKENS), SOUND, done())
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == (292, 252, 544)
    assert (found.cached_tokens, found.usage_rejected) == (128, False)


def test_a_price_by_the_second_has_no_tokens() -> None:
    by_time = {"type": "duration", "seconds": 3.5}
    assert facts(CREATED, heard(by_time), done(), heard(by_time)).total_tokens == 253
    assert facts(heard(by_time)).usage_source == UsageSource.NONE
    reader = RealtimeReader()
    reader.feed(heard(by_time) * 2)
    assert '"seconds":7.0' in (reader.finish().usage_reported or "")


def test_nonsense_of_a_transcription_is_refused_alone() -> None:
    found = facts(heard(IN_TOKENS), heard({**IN_TOKENS, "input_tokens": -4}), done())
    assert (found.prompt_tokens, found.usage_rejected) == (146, True)


@pytest.mark.parametrize(
    "session",
    [
        {"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}},
        {"object": "realtime.transcription_session", "input_audio_transcription": {"model": "gpt-4o-transcribe"}},
    ],
)
def test_a_transcription_session_has_the_model_and_the_usage_of_its_transcriptions(session: object) -> None:
    delta = event("conversation.item.input_audio_transcription.delta", delta="Hi")
    found = facts(event("session.created", session=session), delta, heard(IN_TOKENS))
    assert (found.response_model, found.prompt_tokens, found.completion_tokens) == ("gpt-4o-transcribe", 14, 5)
    assert found.error is None


NO_VOICE = {"type": "invalid_request_error", "code": "invalid_value", "message": "No such voice", "param": "voice"}
VOICE_ERROR = ErrorFacts(code="invalid_value", type="invalid_request_error", message="No such voice")
SPENT = {"type": "insufficient_quota", "code": "insufficient_quota", "message": "You exceeded your current quota"}
SPENT_ERROR = ErrorFacts(code="insufficient_quota", type="insufficient_quota", message=SPENT["message"])
LIMITS = event("rate_limits.updated", rate_limits=[{"name": "requests", "remaining": 9}])
CLOSING = frame(b"", CLOSE)


def failed(error: object = SPENT, usage: object = None) -> bytes:
    details = {"type": "failed", "error": error}
    return event("response.done", response={"status": "failed", "status_details": details, "usage": usage})


def told(error: object = NO_VOICE) -> bytes:
    return event("error", event_id="event_1", error=error)


@pytest.mark.parametrize(
    "after",
    [done(), SOUND, CREATED, event("session.updated"), event("input_audio_buffer.speech_started"), LIMITS + SOUND],
)
@pytest.mark.parametrize("error", [told(), failed()])
def test_an_error_does_not_fail_a_session_that_goes_on(error: bytes, after: bytes) -> None:
    assert facts(CREATED, error, after, CLOSING).error is None


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ((told(),), VOICE_ERROR),
        ((CREATED, failed()), SPENT_ERROR),
        ((CREATED, done(), told(), LIMITS), VOICE_ERROR),
        ((CREATED, told(), done(), failed()), SPENT_ERROR),
        ((told(), failed(None)), ErrorFacts()),
        ((told("odd"),), ErrorFacts(message="odd")),
        ((event("response.done", response={"status": "failed", "status_details": 7}),), ErrorFacts()),
    ],
)
@pytest.mark.parametrize("end", [CLOSING, b""])
def test_an_error_that_was_the_servers_last_word_fails_the_session(
    said: tuple[bytes, ...], error: ErrorFacts, end: bytes
) -> None:
    assert facts(*said, end).error == error


@pytest.mark.parametrize(
    ("said", "by_client", "failed"),
    [
        ((done(), told()), True, False),  # nothing to cancel, say: the session had come to something
        ((told(),), True, True),  # it came to nothing else
        ((failed(),), True, True),
        ((done(), told(), CLOSING), True, True),  # the server had ended it before
        ((done(), told()), False, True),
    ],
)
def test_who_ended_the_session_counts(said: tuple[bytes, ...], by_client: bool, failed: bool) -> None:
    reader = RealtimeReader()
    for piece in said:
        reader.feed(piece)
    if by_client:
        reader.client_ends()
        reader.feed(CLOSING)  # the server's answer to it
        reader.client_ends()
    assert (reader.finish().error is not None) is failed
    assert reader.error is not None


def test_the_newest_error_is_kept_and_its_secrets_are_not() -> None:
    reader = RealtimeReader()
    reader.feed(told() + told({"message": "bad key sk-abcdef0123456789"}) + done())
    assert reader.error == ErrorFacts(message="bad key sk-***")
    assert reader.finish().error is None


def test_a_failed_response_is_paid_for_too() -> None:
    assert facts(done(), failed(usage=USAGE), done()).total_tokens == 3 * 253


def test_what_is_no_json_or_no_websocket_is_passed_over() -> None:
    assert facts(frame(b"response.done {"), frame(b'"response.done"'), done()).total_tokens == 253
    assert facts(b"\xff\xff\xff") == Read(terminal=True, malformed=True)


def test_compressed_messages_are_not_read() -> None:
    assert facts(frame(b'{"type":"response.done"}', rsv1=True)) == Read(terminal=True)


@pytest.mark.parametrize(
    ("target", "model"),
    [
        (b"/v1/realtime?model=gpt-realtime", "gpt-realtime"),
        (b"/openai/realtime?api-version=1&deployment=my%20gpt", "my gpt"),
        (b"/v1/realtime", None),
        (b"/v1/realtime?model=", None),
        (b"/v1/realtime?" + b"a=1&" * 200, None),
        (b"/v1/realtime?model=" + b"x" * 9000, None),
        (b"/v1/realtime?model=%ff%00", "\ufffd\x00"),
    ],
)
def test_the_query_names_the_model(target: bytes, model: str | None) -> None:
    assert model_in_query(target) == model
