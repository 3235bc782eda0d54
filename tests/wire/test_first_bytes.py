"""Who reads an answer is chosen by its first bytes, and what was none is told, under every cut and every type."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.apis import openai_responses
from llm_metrics_proxy.wire.apis.anthropic import ANTHROPIC_MESSAGES
from llm_metrics_proxy.wire.apis.koboldcpp import KOBOLD_STREAM
from llm_metrics_proxy.wire.apis.llama_native import LLAMA_COMPLETION
from llm_metrics_proxy.wire.apis.ollama import OLLAMA_CHAT, OLLAMA_EMBED, OLLAMA_GENERATE
from llm_metrics_proxy.wire.apis.openai_body import OPENAI_EMBEDDINGS
from llm_metrics_proxy.wire.apis.openai_objects import OPENAI_BATCH_FETCH
from llm_metrics_proxy.wire.apis.openai_stream import OPENAI_CHAT, OPENAI_COMPLETIONS
from llm_metrics_proxy.wire.apis.other_operations import (
    OPENAI_IMAGES,
    OPENAI_MODERATIONS,
    OPENAI_SPEECH,
    OPENAI_TRANSCRIPTIONS,
    RERANK,
)
from llm_metrics_proxy.wire.base import ErrorFacts, ResponseFacts, Verdict
from llm_metrics_proxy.wire.dialects import Dialect
from llm_metrics_proxy.wire.first_bytes import FirstBytes, reader_for
from llm_metrics_proxy.wire.framing import MAX_OPEN_BYTES
from tests.examples import examples
from tests.wire import streams
from tests.wire.apis.test_anthropic import ANSWER as MESSAGE
from tests.wire.apis.test_openai_body import CHAT
from tests.wire.apis.test_openai_responses import ANSWER as RESPONSE
from tests.wire.cuts import three_ways
from tests.wire.streams import compact

OPENAI_RESPONSES = openai_responses.OPENAI_RESPONSES
TYPES = [b"application/json", b"text/event-stream", b"application/x-ndjson", b"text/plain", b"", b"text/html"]


class Answer:
    """One answer, read as the exchange reads it."""

    def __init__(self, dialect: Dialect, media: bytes = b"application/json", status: int = 200) -> None:
        first = reader_for(dialect, status, media)
        assert isinstance(first, FirstBytes)
        self.first = first
        self.seen: list[int] = []

    def feed(self, data: bytes) -> int:
        if self.first.reader is None:
            data = self.first.take(data)
        seen = 0 if self.first.reader is None else self.first.reader.feed(data)
        self.seen.append(seen)
        return seen

    def finish(self) -> ResponseFacts:
        return self.first.judge((self.first.reader or self.first).finish())


def facts_of(dialect: Dialect, body: bytes, media: bytes = b"application/json", status: int = 200) -> ResponseFacts:
    """The same under every cut, or this fails."""
    found = []
    for pieces in three_ways(body):
        answer = Answer(dialect, media, status)
        for piece in pieces:
            answer.feed(piece)
        found.append(answer.finish())
    assert all(other == found[0] for other in found), (body, found)
    return found[0]


def error_of(dialect: Dialect, body: bytes, media: bytes = b"application/json") -> ErrorFacts:
    error = facts_of(dialect, body, media).error
    assert error is not None, body
    return error


STREAMS: list[tuple[Dialect, bytes]] = [
    (OPENAI_CHAT, b"".join(streams.ALL["openai"][1])),
    (ANTHROPIC_MESSAGES, b"".join(streams.ALL["anthropic"][1])),
    (OPENAI_RESPONSES, b"".join(streams.ALL["responses"][1])),
    (OLLAMA_CHAT, b"".join(streams.OLLAMA)),
    (LLAMA_COMPLETION, b"".join(streams.ALL["llama"][1])),
]


@pytest.mark.parametrize("media", TYPES)
@pytest.mark.parametrize("begins", [b"", b"\n\n", b"\r\n"])
@pytest.mark.parametrize(("dialect", "body"), STREAMS, ids=[dialect.name for dialect, _ in STREAMS])
def test_a_stream_is_a_stream_under_any_type(dialect: Dialect, body: bytes, media: bytes, begins: bytes) -> None:
    right = facts_of(dialect, body, b"text/event-stream")
    assert right.content_chunks
    assert right.error is None
    assert facts_of(dialect, begins + body, media) == right


@pytest.mark.parametrize("begins", [b"\xef\xbb\xbf", b": keep-alive\n\n", b": PROCESSING\r\n\r\n: again\r\n\r\n"])
def test_marks_and_comments_before_the_first_event_make_no_difference(begins: bytes) -> None:
    dialect, body = STREAMS[0]
    assert facts_of(dialect, begins + body, b"application/json") == facts_of(dialect, body)


def test_events_are_read_whatever_frames_them() -> None:
    """Ollama's lines as events, and OpenAI's events as lines: gateways translate one frame and not the other."""
    lines = b"".join(streams.OLLAMA)
    as_events = b"".join(b"data: %b\n\n" % line for line in lines.splitlines())
    assert facts_of(OLLAMA_CHAT, as_events) == facts_of(OLLAMA_CHAT, lines)
    events = b"".join(streams.ALL["openai"][1])
    as_lines = b"".join(line[6:] + b"\n" for line in events.splitlines() if line.startswith(b"data: {"))
    assert facts_of(OPENAI_CHAT, as_lines) == facts_of(OPENAI_CHAT, events)


def test_a_whole_answer_as_the_only_event_of_a_stream_is_read() -> None:
    whole = facts_of(OPENAI_CHAT, compact(CHAT))
    found = facts_of(OPENAI_CHAT, b"data: %b\n\ndata: [DONE]\n\n" % compact(CHAT))
    assert (found.content_chunks, found.error, found.usage_reported) == (1, None, whole.usage_reported)
    assert (found.finish_reason, found.tool_call_count) == (whole.finish_reason, whole.tool_call_count)


EMBEDDINGS: Any = {"object": "list", "model": "e", "data": [{"index": 0, "embedding": [0.5, 1e-9]}]}
OLLAMA_WHOLE: Any = {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": True, "eval_count": 3}
WHOLE: list[tuple[Dialect, Any]] = [
    (OPENAI_CHAT, CHAT),
    (OPENAI_CHAT, {"choices": [{"message": {"tool_calls": [{}], "content": None}}]}),
    (OPENAI_CHAT, {"choices": [{"finish_reason": "content_filter", "message": {}}]}),
    (OPENAI_COMPLETIONS, {"choices": [{"text": "", "finish_reason": None}], "model": "m"}),
    (OPENAI_CHAT, {"choices": [{"message": {"content": ""}}], "base_resp": {"status_code": 0, "status_msg": ""}}),
    (OPENAI_EMBEDDINGS, EMBEDDINGS),
    (OPENAI_EMBEDDINGS, {"data": []}),
    (OPENAI_EMBEDDINGS, [{"index": 0, "embedding": [[0.5]]}]),
    (OPENAI_RESPONSES, RESPONSE),
    (OPENAI_RESPONSES, {"id": "r", "object": "response", "status": "queued", "background": True, "output": []}),
    (OPENAI_RESPONSES, {"id": "r", "object": "response", "status": "in_progress"}),
    (OPENAI_BATCH_FETCH, {"id": "batch_1", "object": "batch", "status": "in_progress"}),
    (KOBOLD_STREAM, {"success": True}),
    (ANTHROPIC_MESSAGES, MESSAGE),
    (ANTHROPIC_MESSAGES, {"type": "message", "content": [], "stop_reason": None}),
    (OLLAMA_CHAT, OLLAMA_WHOLE),
    (OLLAMA_CHAT, {"model": "m", "created_at": "x", "message": {"role": "assistant", "content": ""}, "done": True}),
    (OLLAMA_GENERATE, {"model": "m", "response": "", "done": True, "done_reason": "load"}),
    (OLLAMA_EMBED, {"model": "m", "embeddings": [[0.5]]}),
    (LLAMA_COMPLETION, {"content": "", "stop": True, "tokens_predicted": 0}),
    (LLAMA_COMPLETION, [{"content": "a"}, {"content": "b"}]),
    (RERANK, {"results": []}),
    (RERANK, {"object": "list", "data": [{"index": 0, "relevance_score": 0.5}]}),
    (RERANK, [{"index": 0, "score": 0.5}]),
    (OPENAI_MODERATIONS, {"id": "m", "results": [{"flagged": False}]}),
    (OPENAI_IMAGES, {"created": 1, "data": [{"b64_json": "AAAA"}]}),
    (OPENAI_IMAGES, {"id": "task", "status": "pending"}),
    (OPENAI_IMAGES, {"code": 200, "message": "success", "images": []}),
    (OPENAI_SPEECH, {"audio": "AAAA"}),
    (OPENAI_TRANSCRIPTIONS, {"text": "Hi"}),
]


@pytest.mark.parametrize("media", TYPES)
@pytest.mark.parametrize(("dialect", "value"), WHOLE, ids=[f"{one.name}-{i}" for i, (one, _) in enumerate(WHOLE)])
def test_a_whole_answer_is_one_under_any_type_and_layout_and_never_an_error(
    dialect: Dialect, value: Any, media: bytes
) -> None:
    found = facts_of(dialect, compact(value), b"application/json")
    assert (found.error, found.content_chunks) == (None, None)
    for body in (compact(value) + b"\n", b"\n \n" + compact(value), json.dumps(value, indent=2).encode()):
        got = facts_of(dialect, body, b"application/json" if media == b"application/x-ndjson" else media)
        assert got == found
    padded = compact({"padding": "x" * 2 * MAX_OPEN_BYTES, **value}) if isinstance(value, dict) else compact(value)
    assert facts_of(dialect, padded, b"application/json").error is None


def test_no_cut_of_a_large_answer_is_an_error() -> None:
    body = compact({**EMBEDDINGS, "data": [{"index": index, "embedding": [0.125] * 700} for index in range(30)]})
    assert len(body) > MAX_OPEN_BYTES
    assert facts_of(OPENAI_EMBEDDINGS, body).error is None


@pytest.mark.parametrize(
    ("dialect", "media", "body"),
    [
        (OPENAI_TRANSCRIPTIONS, b"text/plain", b"Hello, world.\n"),
        (OPENAI_TRANSCRIPTIONS, b"text/plain", b"[BLANK_AUDIO]\n"),
        (OPENAI_TRANSCRIPTIONS, b"application/json", b"[Music] and more"),
        (OPENAI_TRANSCRIPTIONS, b"application/json", b'"a text"'),
        (OPENAI_TRANSCRIPTIONS, b"text/plain", b"{laughs} he said"),
        (OPENAI_TRANSCRIPTIONS, b"text/plain", b"data: the new oil, they say, and so on and on and on and on and on."),
        (OPENAI_TRANSCRIPTIONS, b"text/plain", b"id: 7"),
        (OPENAI_TRANSCRIPTIONS, b"text/plain", b"<|en|> Hi"),
        (OPENAI_TRANSCRIPTIONS, b"text/plain; charset=utf-8", "Стой!".encode()),
        (OPENAI_TRANSCRIPTIONS, b"text/vtt", b"WEBVTT\n\n00:00.000 --> 00:01.000\nHi\n"),
        (OPENAI_TRANSCRIPTIONS, b"text/plain", b"1\n00:00:00,000 --> 00:00:01,000\nHi\n"),
        (OPENAI_SPEECH, b"audio/mpeg", b"\xff\xfb\x90\xc4" * 500),
        (OPENAI_SPEECH, b"audio/wav", b"RIFF\x24\x08\x00\x00WAVEfmt "),
        (OPENAI_SPEECH, b"audio/pcm", b"{\x00[\x00" * 100),
        (OPENAI_SPEECH, b"audio/pcm", b"[[\x00\x01" * 100),
        (OPENAI_SPEECH, b"", b"OggS\x00\x02\x00\x00"),
        (OPENAI_IMAGES, b"image/png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"),
    ],
)
def test_sound_pictures_and_texts_pass_where_they_belong(dialect: Dialect, media: bytes, body: bytes) -> None:
    assert facts_of(dialect, body, media.partition(b";")[0]).error is None


N, T, E, M = Verdict.NOT_AN_ANSWER, Verdict.TRUNCATED, Verdict.EMPTY, Verdict.MALFORMED
PAGE = b"<!doctype html><html><head><title>Open WebUI</title></head><body>secret</body></html>"
CHAT_BODY = compact(CHAT)
NO_ANSWERS: list[tuple[Dialect, bytes, Verdict | None, str]] = [
    (OPENAI_CHAT, PAGE, N, "An HTML page in place of an answer: Open WebUI"),
    (OPENAI_EMBEDDINGS, PAGE, N, "An HTML page in place of an answer: Open WebUI"),
    (OPENAI_SPEECH, PAGE, N, "An HTML page in place of an answer: Open WebUI"),
    (OPENAI_TRANSCRIPTIONS, PAGE, N, "An HTML page in place of an answer: Open WebUI"),
    (OLLAMA_CHAT, PAGE, N, "An HTML page in place of an answer: Open WebUI"),
    (OPENAI_CHAT, b"", E, "The answer is empty."),
    (OPENAI_SPEECH, b"", E, "The answer is empty."),
    (OPENAI_CHAT, b" \r\n\r\n", E, "The answer is empty."),
    (OPENAI_CHAT, b"upstream connect error", N, "A text in place of an answer: upstream connect error"),
    (OPENAI_CHAT, b"key sk-abcdef123456 is wrong", N, "A text in place of an answer: key sk-*** is wrong"),
    (OPENAI_CHAT, b"null", N, "A text in place of an answer: null"),
    (OPENAI_CHAT, b'"x"', N, 'A text in place of an answer: "x"'),
    (OPENAI_CHAT, b"[]", N, "A JSON array in place of an answer: []"),
    (OPENAI_CHAT, b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", N, "Binary data in place of an answer."),
    (OPENAI_CHAT, b"{}", N, "JSON of another kind in place of an answer: {}"),
    (OPENAI_CHAT, CHAT_BODY[:40], T, "The answer is JSON that breaks off: " + CHAT_BODY[:40].decode()),
    (OPENAI_CHAT, CHAT_BODY[:-9], T, "The answer is JSON that breaks off: "),
    (ANTHROPIC_MESSAGES, compact(MESSAGE)[:-1], T, "The answer is JSON that breaks off: "),
    (OPENAI_EMBEDDINGS, compact({"data": [0.125] * 90_000})[:-1], T, "The answer is JSON that breaks off: {…"),
    (OPENAI_IMAGES, b'{"created":1', T, 'The answer is JSON that breaks off: {"created":1'),
    (OPENAI_CHAT, b"{oops}", N, "JSON of another kind in place of an answer: {oops}"),
    (OPENAI_CHAT, b'{"id":"c","choices":[]}', E, 'The answer has no output: {"id":"c",…'),
    (OPENAI_CHAT, b'{"id":"c","choices":null}', E, 'The answer has no output: {"id":"c",…'),
    (OPENAI_CHAT, b'{"usage":{"prompt_tokens":1},"choices":[]}', E,
     'The answer has no output: {"usage":{"prompt_tokens":1},…'),
    (OPENAI_RESPONSES, b'{"object":"list","status":"x"}', N, "JSON of another kind in place of an answer: "),
    (OPENAI_CHAT, compact(MESSAGE), N, "JSON of another kind in place of an answer: "),
    (OPENAI_CHAT, compact(OLLAMA_WHOLE), N, 'JSON of another kind in place of an answer: {"model":"m",…'),
    (ANTHROPIC_MESSAGES, b'{"id":"r","choices":[]}', N, 'JSON of another kind in place of an answer: {"id":"r",…'),
    (OPENAI_EMBEDDINGS, b'{"object":"list","data":null}', E, 'The answer has no output: {"object":"list",…'),
    (ANTHROPIC_MESSAGES, b'{"type":"message","content":null}', E, 'The answer has no output: {"type":"message",…'),
    (RERANK, b'{"object":"list","usage":{}}', N, "JSON of another kind in place of an answer: "),
    (OPENAI_EMBEDDINGS, b'{"object":"x"}', N, 'JSON of another kind in place of an answer: {"object":"x"}'),
    (OPENAI_CHAT, b"data: [DONE]\n\n", E, "The stream ended without any output."),
    (OPENAI_RESPONSES, b"data: [DONE]\n\n", E, "The stream ended without any output."),
    (OPENAI_CHAT, b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":1}}\n\ndata: [DONE]\n\n', E,
     "The stream ended without any output."),
    (OPENAI_CHAT, STREAMS[1][1], N, "An event stream in place of an answer: "),
    (OPENAI_CHAT, b'data: {"id":"c","choices":[{"delta":{"content":"Hi', T,
     'The stream breaks off in its first event: {"id":"c",…'),
    (OPENAI_CHAT, b'data: {"id":"c","choices":[{"delta":{"content":"' + b"x" * 100_000, T,
     "The stream breaks off in its first event: {"),
    (OPENAI_CHAT, b"data: Bad Gateway\n\n", M, "The events cannot be understood: Bad Gateway"),
    (OPENAI_EMBEDDINGS, b'data: {"id":1}\n\n', N, 'An event stream in place of an answer: data: {"id":1}'),
    # The server's own words
    (OPENAI_CHAT, b'{"code":500,"msg":"404 NOT_FOUND","success":false}', None, "404 NOT_FOUND"),
    (OPENAI_CHAT, b'{"choices":null,"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}', None,
     "insufficient balance"),
    (OPENAI_CHAT, b'{"choices":[{"finish_reason":"stop"}],"base_resp":{"status_code":1027,"status_msg":"sensitive"}}',
     None, "sensitive"),
    (OPENAI_CHAT, b'{"detail":"Not Found"}', None, "Not Found"),
    (OPENAI_CHAT, b'{"detail":[{"loc":["body","x"],"msg":"bad","type":"missing"}]}', None, "body.x: bad"),
    (OPENAI_CHAT, b'{"message":"no Route matched with those values"}', None, "no Route matched with those values"),
    (OPENAI_CHAT, b'{"error":true,"message":"boom"}', None, "boom"),
    (OPENAI_CHAT, b'{"error":{"message":"boom"}}', None, "boom"),
    (OPENAI_CHAT, b'{"success":false,"errors":[{"code":7003,"message":"No route"}],"result":null}', None, "No route"),
    (OPENAI_CHAT, b'[{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT"}}]', None, "bad"),
    (OLLAMA_CHAT, b'{"message":"not here"}', None, "not here"),
    (OPENAI_MODERATIONS, b'{"error":"boom"}', None, "boom"),
    (OPENAI_IMAGES, b'{"error":{"message":"boom"}}', None, "boom"),
    (OPENAI_IMAGES, b'{"code":500,"msg":"no","success":false}', None, "no"),
    (OPENAI_IMAGES, b'{"detail":"Not Found"}', None, "Not Found"),
    (OPENAI_IMAGES, b'{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}', None,
     "insufficient balance"),
    (OPENAI_CHAT, b'data: {"code":500,"msg":"no","success":false}\n\ndata: [DONE]\n\n', None, "no"),
    (OPENAI_CHAT, b'data: {"detail":"Not Found"}\n\n', None, "Not Found"),
    (OPENAI_CHAT, b'data: {"base_resp":{"status_code":1002,"status_msg":"rate limit"}}\n\n', None, "rate limit"),
    (OPENAI_CHAT, b'data: {"choices":[],"x_groq":{"id":"r","error":"over_capacity"}}\n\n', None, "over_capacity"),
    (OPENAI_CHAT, b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\ndata: {"code":1,"message":"late"}\n\n', None,
     "late"),
    (OPENAI_EMBEDDINGS, b'data: {"error":{"message":"boom"}}\n\n', None, "boom"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "body", "verdict", "message"),
    NO_ANSWERS,
    ids=[f"{one.name}-{body[:24].decode('latin-1')}" for one, body, *_ in NO_ANSWERS],
)
def test_what_is_no_answer_is_told_with_its_first_words(
    dialect: Dialect, body: bytes, verdict: Verdict | None, message: str
) -> None:
    for media in TYPES:
        if media == b"text/event-stream" and not body.strip():
            continue  # a stream of nothing, which has an outcome of its own
        error = error_of(dialect, body, media)
        assert error.verdict is verdict
        assert (error.message or "").startswith(message)
        assert len(error.message or "") <= 500


def test_what_a_model_wrote_is_never_among_the_first_words() -> None:
    cut = compact({"id": "c", "choices": [{"message": {"content": "a secret"}}]})[:-4]
    for dialect, body in ((OPENAI_CHAT, cut), (RERANK, compact(CHAT)), (OPENAI_CHAT, compact(OLLAMA_WHOLE))):
        message = error_of(dialect, body).message or ""
        assert "secret" not in message
        assert "Hi" not in message
        assert "content" not in message


def test_an_accepted_request_may_be_answered_with_nothing() -> None:
    assert facts_of(OPENAI_CHAT, b"", status=202).error is None
    assert reader_for(OPENAI_CHAT, 204, b"") is None


def test_the_first_token_is_seen_with_the_bytes_that_bring_it() -> None:
    answer = Answer(OLLAMA_CHAT, b"text/plain")
    line = streams.said("x")
    assert answer.feed(line[:-1]) == 0
    assert answer.feed(b"\n")
    answer = Answer(OPENAI_CHAT, b"application/json")
    assert answer.feed(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n')


def test_what_nobody_reads_is_held_up_to_its_first_words_only() -> None:
    answer = Answer(OPENAI_CHAT, b"text/html")
    for _ in range(1000):
        answer.feed(b"<html>" + b"x" * 1000)
    assert len(answer.first._held) < 8 * 1024
    assert answer.finish().error is not None


SOUND_BODIES = [(dialect, compact(value)) for dialect, value in WHOLE] + STREAMS


@examples(300)
@given(st.sampled_from(SOUND_BODIES), st.data())
def test_bodies_with_any_bytes_put_in_raise_nothing(sound: tuple[Dialect, bytes], data: st.DataObject) -> None:
    dialect, body = sound
    at = data.draw(st.integers(0, len(body)))
    noise = data.draw(st.binary(max_size=8) | st.sampled_from([b"\n", b"{", b'"', b"[DONE]", b'{"error":1}']))
    cut = data.draw(st.integers(0, len(body)))
    facts_of(dialect, (body[:at] + noise + body[at:])[: cut or None], data.draw(st.sampled_from(TYPES)))


extra = st.dictionaries(
    st.text(max_size=8).map(lambda name: f"x_{name}"),
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.lists(st.integers(), max_size=3),
    max_size=4,
)


@examples(300)
@given(st.sampled_from(WHOLE), extra, st.booleans(), st.booleans())
def test_members_that_nobody_knows_never_make_an_answer_an_error(
    whole: tuple[Dialect, Any], more: dict[str, Any], before: bool, indented: bool
) -> None:
    dialect, value = whole
    if isinstance(value, dict):
        value = {**more, **value} if before else {**value, **more}
    assert facts_of(dialect, json.dumps(value, indent=1 if indented else None).encode()).error is None
