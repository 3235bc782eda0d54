"""Uploaded forms: their small fields are in the record, and the model that one names chooses the server."""

import pytest

from tests.proxy.client import post, request
from tests.proxy.conftest import Stage
from tests.proxy.harness import ProxyWorker
from tests.upstream import LAST_CHUNK, FakeUpstream, Gate, ReadBody, Send, Step, chunk, json_response

pytestmark = pytest.mark.system

B = b"WebKitFormBoundary7"
TYPE = b'Content-Type: multipart/form-data; boundary="%b"' % B
OK = Send(json_response({"text": "hello", "usage": {"type": "tokens", "input_tokens": 5, "output_tokens": 2,
                                                    "total_tokens": 7}}))  # fmt: skip
PATH = b"/v1/audio/transcriptions"


def field(name: bytes, value: bytes) -> bytes:
    return b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (B, name, value)


def sound(size: int) -> bytes:
    head = b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav'
    return b"--%b\r\n%b\r\n\r\n%b\r\n" % (B, head, b"\r\n--\0" * (size // 5))


END = b"--%b--\r\n" % B
FIELDS = field(b"model", b"whisper-1") + field(b"stream", b"true") + field(b"n", b"2")


@pytest.mark.parametrize("body", [FIELDS + sound(200_000) + END, sound(200_000) + FIELDS + END, FIELDS + END])
def test_the_fields_are_in_the_record_and_the_bytes_pass_unchanged(stage: Stage, body: bytes) -> None:
    with stage.play([OK]) as upstream:
        assert stage.proxy.ask(post(body, TYPE, path=PATH)).status == 200
    assert upstream.requests[0].body == body
    record = stage.proxy.record()
    assert (record.model, record.is_streaming, record.choice_count) == ("whisper-1", True, 2)
    assert (record.prompt_tokens, record.completion_tokens, record.total_tokens) == (5, 2, 7)
    assert record.request_bytes == len(body)


def test_a_form_streams_through_to_a_single_server(stage: Stage) -> None:
    seen = Gate()
    body = sound(60_000) + FIELDS + END
    script: list[Step] = [ReadBody(limit=50_000), seen.wait(), ReadBody(), OK]
    with stage.play(script, early=True) as upstream, stage.proxy.connect() as client:
        client.send(request(b"POST", PATH, TYPE, b"Content-Length: %d" % len(body)) + body[:59_000])
        assert seen.reached.wait(10)  # long before the model is known
        seen.open()
        client.send(body[59_000:])
        assert client.answer().status == 200
    assert upstream.requests[0].body == body
    assert stage.proxy.record().model == "whisper-1"


def test_a_form_in_chunks_is_read_too(stage: Stage) -> None:
    body = sound(3000) + FIELDS + END
    with stage.play([OK]) as upstream, stage.proxy.connect() as client:
        client.send(request(b"POST", PATH, TYPE, b"Transfer-Encoding: chunked"))
        for start in range(0, len(body), 700):
            client.send(chunk(body[start : start + 700]))
        client.send(LAST_CHUNK)
        assert client.answer().status == 200
    assert upstream.requests[0].body == body
    assert stage.proxy.record().model == "whisper-1"


def test_what_a_client_said_before_it_left_is_known(stage: Stage) -> None:
    with stage.play([ReadBody(), OK], early=True):
        with stage.proxy.connect() as client:
            client.send(request(b"POST", PATH, TYPE, b"Content-Length: 100000") + FIELDS + sound(1000))
        record = stage.proxy.record()
    assert (record.model, record.outcome) == ("whisper-1", "client_disconnected")


def two_servers(one: FakeUpstream, two: FakeUpstream) -> list[dict[str, object]]:
    return [
        {"name": "one", "url": one.url, "models": ["gpt-*"]}, {"name": "two", "url": two.url, "models": ["whisper*"]},
    ]  # fmt: skip


def test_the_model_in_a_form_chooses_the_server(tmp_path_factory: pytest.TempPathFactory) -> None:
    bodies = [FIELDS + sound(1000) + END, sound(1000) + FIELDS + END, FIELDS + sound(900_000) + END,
              sound(300_000) + FIELDS + END]  # fmt: skip
    with FakeUpstream([OK]) as one, FakeUpstream([OK]) as two:
        folder = tmp_path_factory.mktemp("forms")
        with ProxyWorker(folder, "", backends=two_servers(one, two), max_body_bytes=500_000) as proxy:
            for body in bodies:
                assert proxy.ask(post(body, TYPE, path=PATH)).status == 200
            with proxy.connect() as client:  # byte by byte at first
                client.send(request(b"POST", PATH, TYPE, b"Content-Length: %d" % len(bodies[0])))
                for number in range(150):
                    client.send(bodies[0][number : number + 1])
                client.send(bodies[0][150:])
                assert client.answer().status == 200
            assert {(record.model, record.backend_name) for record in proxy.records(5)} == {("whisper-1", "two")}
        assert not one.requests
        assert [received.body for received in two.requests] == [*bodies, bodies[0]]


def test_a_form_that_names_its_model_behind_more_than_can_be_held_goes_to_any_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    body = sound(400_000) + FIELDS + END
    with FakeUpstream([OK]) as one, FakeUpstream([OK]) as two:
        folder = tmp_path_factory.mktemp("forms")
        with ProxyWorker(folder, "", backends=two_servers(one, two), max_body_bytes=50_000) as proxy:
            assert proxy.ask(post(body, TYPE, path=PATH)).status == 200
            assert proxy.ask(post(sound(10) + END, TYPE, path=PATH)).status == 200  # and one that names none
            assert {record.model for record in proxy.records(2)} == {"whisper-1", None}
        assert {received.body for received in [*one.requests, *two.requests]} == {body, sound(10) + END}
