"""Bytes go through as they are, both ways; what belongs to one hop only stays behind."""

import pytest

from tests.proxy.client import CHAT, get, post, request
from tests.proxy.conftest import Stage
from tests.proxy.harness import ProxyWorker
from tests.upstream import (
    CHUNKED,
    Close,
    FakeUpstream,
    Request,
    Send,
    Step,
    chunk,
    head,
    response,
)  # fmt: skip

pytestmark = pytest.mark.system

OK = response(b"ok", content_type="text/plain")


def lines_of(received: Request) -> list[bytes]:
    """The head's field lines as the LLM server got them."""
    return received.head[:-4].split(b"\r\n")[1:]


def test_an_answer_keeps_its_bytes_and_gains_one_field(stage: Stage) -> None:
    lines = b"X-Odd-CASE: 1\r\nset-cookie: a=1\r\nSet-Cookie: b=2\r\nX-Latin: caf\xe9\r\nx-empty: \r\n"
    with stage.play([Send(b"HTTP/1.1 200 Fine by me\r\n" + lines + b"Content-Length: 2\r\n\r\nok")]):
        answer = stage.proxy.ask(post())
    own = b"Content-Length: 2\r\nx-llm-metrics-request-id: %b\r\n\r\n" % answer.request_id.encode()
    assert answer.head == b"HTTP/1.1 200 Fine by me\r\n" + lines + own
    assert answer.body == b"ok"


def test_a_request_keeps_its_fields_with_their_case_order_repetitions_and_bytes(stage: Stage) -> None:
    sent = (b"X-Odd-CASE: 1", b"accept: a", b"Accept: b", b"X-Latin: caf\xe9", b"x-empty: ", b"AUTHORIZATION: Bearer k")
    with stage.play([Send(OK)]) as upstream:
        stage.proxy.ask(post(CHAT, *sent))
    [received] = upstream.requests
    assert received.body == CHAT
    assert lines_of(received) == [
        b"Host: 127.0.0.1:%d" % stage.port,
        b"Content-Type: application/json",
        *sent,
        b"X-Forwarded-For: 127.0.0.1",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Host: proxy",
        b"Via: 1.1 llm-metrics-proxy",
        b"Content-Length: %d" % len(CHAT),
    ]


@pytest.mark.parametrize(
    "target",
    [
        b"/v1/models/meta%2Fllama",
        b"/v1/models/a%20b?x=%2F&y=//..//&z",
        b"/v1/models?",
        b"/v1/models/?a?b",
        b"/v1/models/%E2%82%AC",
        b"/v1/models/a'b(c)*!$&,;=:@",
    ],
)
def test_path_and_query_stay_exactly_as_sent(stage: Stage, target: bytes) -> None:
    with stage.play([Send(OK)]) as upstream:
        assert stage.proxy.ask(get(target)).status == 200
    assert upstream.requests[0].target.encode("latin-1") == target
    assert stage.proxy.record().endpoint == target.split(b"?")[0].decode()


def test_a_backend_with_a_path_prefix_gets_it_before_every_path(tmp_path_factory: pytest.TempPathFactory) -> None:
    with (
        FakeUpstream([Send(OK)]) as upstream,
        ProxyWorker(tmp_path_factory.mktemp("prefix"), f"{upstream.url}/gateway/v1") as proxy,
    ):
        assert proxy.ask(get(b"/v1/models?x=1")).status == 200
        assert proxy.ask(get(b"/v1/models?x=1")).status == 200
        assert [each.target for each in upstream.requests] == ["/gateway/v1/models?x=1"] * 2
        assert {record.endpoint for record in proxy.records(2)} == {"/v1/models"}


def test_hop_by_hop_fields_and_those_that_connection_names_stay_behind_on_the_way_up(stage: Stage) -> None:
    hop = (
        b"Connection: keep-alive, X-Private, close-ish",
        b"connection: x-also",
        b"Keep-Alive: timeout=5",
        b"Proxy-Connection: keep-alive",
        b"Proxy-Authorization: Basic abc",
        b"TE: trailers",
        b"Trailer: X-T",
        b"X-Private: 1",
        b"X-ALSO: 2",
        b"Close-Ish: 3",
    )
    with stage.play([Send(OK)]) as upstream:
        assert stage.proxy.ask(post(CHAT, *hop, b"X-Kept: yes")).status == 200
    names = {line.split(b":")[0].lower() for line in lines_of(upstream.requests[0])}
    assert names == {
        b"host", b"content-type", b"x-kept", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"via",
        b"content-length",
    }  # fmt: skip


def test_hop_by_hop_fields_and_those_that_connection_names_stay_behind_on_the_way_down(stage: Stage) -> None:
    script: list[Step] = [
        Send(
            head(
                200,
                ("Connection", "keep-alive, X-Private"),
                ("Keep-Alive", "timeout=5"),
                ("X-Private", "1"),
                ("Proxy-Authenticate", "Basic"),
                ("Trailer", "X-T"),
                ("X-Kept", "yes"),
                ("x-llm-metrics-request-id", "another proxy's"),
                CHUNKED,
            )
            + chunk(b"ok")
            + b"0\r\nX-T: 1\r\n\r\n"
        )
    ]
    with stage.play(script):
        answer = stage.proxy.ask(post())
    assert answer.body == b"ok"
    assert len(answer.request_id) == 32
    assert [name for name, _ in answer.fields] == [b"X-Kept", b"Transfer-Encoding", b"x-llm-metrics-request-id"]


def test_nobody_can_have_the_key_or_the_content_type_dropped_by_naming_them(stage: Stage) -> None:
    with stage.play([Send(OK)]) as upstream:
        stage.proxy.ask(
            post(CHAT, b"Authorization: Bearer k", b"Connection: authorization, content-type, content-length")
        )
    assert upstream.requests[0].header("authorization") == "Bearer k"
    assert upstream.requests[0].header("content-type") == "application/json"
    assert upstream.requests[0].body == CHAT


def test_forwarding_fields_of_strangers_are_replaced(stage: Stage) -> None:
    lies = (
        b"X-Forwarded-For: 1.2.3.4",
        b"x-forwarded-proto: https",
        b"X-FORWARDED-HOST: evil",
        b"Forwarded: for=1.2.3.4",
    )
    with stage.play([Send(OK)]) as upstream:
        for _ in range(2):
            stage.proxy.ask(post(CHAT, *lies))
    for received in upstream.requests:
        assert [line for line in lines_of(received) if b"orwarded" in line.lower()] == [
            b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-Proto: http", b"X-Forwarded-Host: proxy",
        ]  # fmt: skip


def test_forwarding_fields_of_trusted_peers_are_kept_and_the_chain_grows(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("trusted")
    chain = (b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-For: 5.6.7.8", b"X-Forwarded-Proto: https", b"Via: 1.0 front")
    with (
        FakeUpstream([Send(OK)]) as upstream,
        ProxyWorker(folder, upstream.url, trusted_proxies=["127.0.0.0/8"]) as proxy,
    ):
        proxy.ask(post(CHAT, *chain))
        proxy.ask(post(CHAT))
    first, second = (
        [line for line in lines_of(each) if b"orwarded" in line or b"Via" in line] for each in upstream.requests
    )
    assert first == [
        b"X-Forwarded-Proto: https",
        b"Via: 1.0 front",
        b"X-Forwarded-For: 1.2.3.4,5.6.7.8, 127.0.0.1",
        b"X-Forwarded-Host: proxy",
        b"Via: 1.1 llm-metrics-proxy",
    ]
    assert second[0] == b"X-Forwarded-For: 127.0.0.1"


def test_an_absolute_target_becomes_a_path_and_its_authority_the_host(stage: Stage) -> None:
    with stage.play([Send(OK)]) as upstream:
        asked = request(b"GET", b"HTTP://Example.org:81/v1/models?x=1", host=b"ignored")
        assert stage.proxy.ask(asked).status == 200
        assert stage.proxy.ask(request(b"GET", b"https://example.org?x=1")).status == 200
    first, second = upstream.requests
    assert first.target == "/v1/models?x=1"
    assert first.header("x-forwarded-host") == "Example.org:81"
    assert first.header("host") == f"127.0.0.1:{stage.port}"
    assert second.target == "/?x=1"


def test_head_has_no_body_but_keeps_the_length_it_tells(stage: Stage) -> None:
    with stage.play([Send(head(200, ("Content-Length", "1234")))]) as upstream, stage.proxy.connect() as client:
        for _ in range(2):
            client.send(get(method=b"HEAD"))
            answer = client.answer(b"HEAD")
            assert (answer.status, answer.header(b"content-length")) == (200, b"1234")
        assert client.is_quiet()
        assert len(upstream.connections) == 1
    assert [record.response_bytes for record in stage.proxy.records(2)] == [0, 0]


@pytest.mark.parametrize(
    ("status", "fields"), [(204, ()), (304, ()), (304, (("Content-Length", "77"),)), (304, (CHUNKED,))]
)
def test_answers_that_never_have_a_body_end_with_their_head(
    stage: Stage, status: int, fields: tuple[tuple[str, str], ...]
) -> None:
    with stage.play([Send(head(status, *fields))]), stage.proxy.connect() as client:
        for _ in range(3):
            client.send(get())
            assert client.answer(b"GET").status == status
        assert client.is_quiet()
    assert [record.upstream_status_code for record in stage.proxy.records(3)] == [status] * 3


def test_a_length_beside_204_is_not_passed_on(stage: Stage) -> None:
    with stage.play([Send(head(204, ("Content-Length", "0")))]):
        assert stage.proxy.ask(get()).header(b"content-length") is None


def test_interim_answers_reach_the_client_in_order_before_the_final_one(stage: Stage) -> None:
    script: list[Step] = [Send(head(103, ("Link", "</a>"))), Send(head(102)), Send(OK)]
    with stage.play(script), stage.proxy.connect() as client:
        client.send(get())
        first, second, final = (client.answer(b"GET") for _ in range(3))
    assert (first.status, first.header(b"link")) == (103, b"</a>")
    assert second.status == 102
    assert final.status == 200
    assert final.body == b"ok"
    assert first.request_id == final.request_id


def test_interim_answers_are_kept_from_http_1_0_clients(stage: Stage) -> None:
    with stage.play([Send(head(103)), Send(OK)]):
        answer = stage.proxy.ask(get(version=b"1.0"))
    assert (answer.status, answer.body) == (200, b"ok")


def test_http_1_0_gets_keep_alive_only_if_it_asks(stage: Stage) -> None:
    with stage.play([Send(OK)]), stage.proxy.connect() as client:
        client.send(get(b"/v1/models", b"Connection: keep-alive", version=b"1.0"))
        assert client.answer(b"GET").header(b"connection") == b"keep-alive"
        client.send(get(version=b"1.0"))
        answer = client.answer(b"GET")
        assert (answer.header(b"connection"), answer.body) == (b"close", b"ok")
        assert client.read_to_end() == b""


def test_http_1_0_needs_no_host(stage: Stage) -> None:
    with stage.play([Send(OK)]):
        assert stage.proxy.ask(request(b"GET", b"/v1/models", version=b"1.0", host=None)).status == 200


def test_close_asked_for_by_the_client_is_honoured_and_not_passed_on(stage: Stage) -> None:
    with stage.play([Send(OK)]) as upstream, stage.proxy.connect() as client:
        for _ in range(2):
            stage.proxy.ask(get(b"/v1/models", b"Connection: close"))
        client.send(get(b"/v1/models", b"Connection: close"))
        assert client.answer(b"GET").header(b"connection") == b"close"
        assert client.read_to_end() == b""
    assert len(upstream.connections) == 1
    assert upstream.requests[0].header("connection") is None


def test_close_by_the_llm_server_does_not_close_the_clients_connection(stage: Stage) -> None:
    script: list[Step] = [Send(response(b"ok", ("Connection", "close"))), Close()]
    with stage.play(script) as upstream, stage.proxy.connect() as client:
        for _ in range(2):
            client.send(get())
            answer = client.answer(b"GET")
            assert (answer.body, answer.header(b"connection")) == (b"ok", None)
    assert len(upstream.connections) == 2


def test_a_body_that_only_closing_ends_becomes_chunked_for_http_1_1(stage: Stage) -> None:
    with stage.play([Send(head(200) + b"first "), Send(b"second"), Close()]), stage.proxy.connect() as client:
        client.send(get())
        answer = client.answer(b"GET")
        assert answer.header(b"transfer-encoding") == b"chunked"
        assert (answer.body, answer.whole) == (b"first second", True)
        client.send(get())
        assert client.answer(b"GET").whole


def test_a_body_that_only_closing_ends_stays_so_for_http_1_0(stage: Stage) -> None:
    with stage.play([Send(head(200) + b"all of it"), Close()]):
        answer = stage.proxy.ask(get(b"/v1/models", b"Connection: keep-alive", version=b"1.0"))
    assert answer.header(b"transfer-encoding") is None
    assert answer.header(b"connection") == b"close"
    assert answer.body == b"all of it"


def test_a_chunked_body_is_unframed_for_http_1_0(stage: Stage) -> None:
    with stage.play([Send(head(200, CHUNKED) + chunk(b"all ") + chunk(b"of it") + b"0\r\n\r\n")]):
        answer = stage.proxy.ask(get(version=b"1.0"))
    assert answer.body == b"all of it"
    assert answer.header(b"transfer-encoding") is None


@pytest.mark.parametrize("cut", [1, 3, 7])
def test_chunks_with_odd_cuts_extensions_and_trailers_give_the_same_body(stage: Stage, cut: int) -> None:
    body = chunk(b"one", b"; x=y") + chunk(b"t" * 300, b' ; q = "a;b"') + b"0000;z\r\nX-T: 1\r\nX-U: 2\r\n\r\n"
    with stage.play([Send(head(200, CHUNKED) + body, cut=cut)]), stage.proxy.connect() as client:
        for _ in range(2):
            client.send(get())
            assert client.answer(b"GET").body == b"one" + b"t" * 300
    assert [record.response_bytes for record in stage.proxy.records(2)] == [303, 303]


def test_tags_are_recorded_and_kept_from_the_server_and_a_trace_is_recorded_and_passed_on(stage: Stage) -> None:
    trace = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    lines = (b"X-LLM-Metrics-Tag: team=red, env=prod", b"x-llm-metrics-tag: run=7", b"traceparent: " + trace)
    with stage.play() as upstream:
        assert stage.proxy.ask(post(CHAT, *lines)).status == 200
        [request] = upstream.requests
    assert b"llm-metrics-tag" not in request.raw.lower()
    assert b"traceparent: " + trace in request.raw
    record = stage.proxy.record()
    assert record.tags == "env=prod,run=7,team=red"
    assert record.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert (record.parent_span_id, record.trace_sampled) == ("00f067aa0ba902b7", True)


EXTENSION, TRAILERS = b"1;" + b"a" * 10_000_000, b"1\r\nx\r\n0\r\n" + b"X-T: 1\r\n" * 600_000


@pytest.mark.parametrize("sent", [EXTENSION, TRAILERS], ids=["extension", "trailers"])
def test_an_answer_with_too_much_beside_its_data_is_broken_off(stage: Stage, sent: bytes) -> None:
    with stage.play([Send(head(200, CHUNKED) + chunk(b"begun ")), Send(sent)]) as upstream:
        with stage.proxy.connect() as client:
            client.send(get())
            answer = client.answer(b"GET")
        assert (answer.status, answer.whole, answer.body[:6]) == (200, False, b"begun ")
        record = stage.proxy.record()
        assert (record.outcome, record.error_type) == ("stream_truncated", "protocol")
        assert "larger than this proxy allows" in (record.error_message or "")
        assert len(upstream.connections) == 1


@pytest.mark.parametrize("kind", [b"application/json", b"audio/wav"])
@pytest.mark.parametrize("sent", [EXTENSION, TRAILERS], ids=["extension", "trailers"])
def test_a_request_with_too_much_beside_its_data_gets_400(stage: Stage, sent: bytes, kind: bytes) -> None:
    asked = request(b"POST", b"/v1/embeddings", b"Content-Type: " + kind, b"Transfer-Encoding: chunked")
    with stage.play(), stage.proxy.connect() as client:
        client.send(asked)
        client.send_as_far_as_possible(sent, 1)
        answer = client.answer()
        assert (answer.status, answer.error_code) == (400, "bad_http")
        client.ends()
    record = stage.proxy.record()
    assert (record.outcome, record.error_type) == ("client_error", "bad_http")


@pytest.mark.parametrize("cut", [None, 1])
def test_any_minor_version_of_an_answer_is_read_as_1_1(stage: Stage, cut: int | None) -> None:
    whole = response(b"{}").replace(b"HTTP/1.1", b"HTTP/1.7")
    with stage.play([Send(head(103, version="1.2") + whole, cut=cut)]), stage.proxy.connect() as client:
        for _ in range(2):
            client.send(get())
            assert client.answer(b"GET").head.startswith(b"HTTP/1.1 103")
            answer = client.answer(b"GET")
            assert (answer.head.split(b"\r\n")[0], answer.body) == (b"HTTP/1.1 200 OK", b"{}")


@pytest.mark.parametrize("cut", [None, 1])
@pytest.mark.parametrize(
    "version", [b"RTSP/1.0", b"ICE/1.0", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.x", b"\x15\x03\x03"]
)  # the last one is a TLS alert, and said to be one
def test_what_is_not_http_1_is_no_answer(stage: Stage, version: bytes, cut: int | None) -> None:
    with stage.play([Send(version + b" 200 OK\r\nContent-Length: 2\r\n\r\n{}", cut=cut)]):
        assert stage.proxy.ask(get()).status == 502
    assert stage.proxy.record().error_type == ("tls" if version.startswith(b"\x15") else "protocol")


def test_a_reason_phrase_cannot_steer_the_clients_terminal(stage: Stage) -> None:
    whole = response(b"{}").replace(b"200 OK", b"200 O\x1b]0;x\x07K\x00")
    with stage.play([Send(whole)]):
        for _ in range(2):
            assert stage.proxy.ask(get()).reason == b"O]0;xK"


def test_the_server_never_sees_two_spellings_of_what_frames_or_routes_a_message(stage: Stage) -> None:
    lines = (
        b"Transfer_Encoding: chunked", b"content_length: 9", b"X_Forwarded_For: 6.6.6.6", b"X-Forwarded_Host: evil",
        b"Proxy_Authorization: x", b"session_id: s",
    )  # fmt: skip
    with stage.play() as upstream:
        for _ in range(2):
            assert stage.proxy.ask(post(CHAT, *lines)).status == 200
        for asked in upstream.requests:
            assert [
                line for line in asked.raw.split(b"\r\n\r\n")[0].split(b"\r\n") if b"_" in line.partition(b":")[0]
            ] == [b"session_id: s"]


@pytest.mark.parametrize("several", [False, True])
def test_a_backend_may_be_asked_by_another_name_than_its_urls(
    tmp_path_factory: pytest.TempPathFactory, several: bool
) -> None:
    with FakeUpstream() as upstream:
        told: dict[str, object] = {"upstream_host_header": "localhost:11434"}
        if several:
            backends = [
                {"name": "a", "url": upstream.url},
                {"name": "b", "url": upstream.url, "host_header": "b.example"},
            ]
            told["backends"] = backends
        with ProxyWorker(tmp_path_factory.mktemp("host"), upstream.url, **told) as proxy:
            for prefix in (b"/a", b"/b") if several else (b"",):
                assert proxy.ask(post(CHAT, path=prefix + b"/v1/chat/completions")).status == 200
        names = [asked.header("host") for asked in upstream.requests]
    assert names == (["localhost:11434", "b.example"] if several else ["localhost:11434"])


@pytest.mark.parametrize("version", [b"1.2", b"1.9"])
def test_a_newer_minor_version_of_a_request_is_answered_as_1_1(stage: Stage, version: bytes) -> None:
    with stage.play() as upstream, stage.proxy.connect() as client:
        for _ in range(3):
            client.send(post(CHAT, version=version))
            answer = client.answer()
            assert (answer.status, answer.head[:9], answer.header(b"connection")) == (200, b"HTTP/1.1 ", None)
        assert all(b" HTTP/1.1\r\n" in asked.raw for asked in upstream.requests)


def test_prior_knowledge_of_http_2_is_told_that_there_is_none(stage: Stage) -> None:
    with stage.proxy.connect() as client:
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04\x00\x00\x00\x00\x00")
        answer = client.answer()
        assert (answer.status, answer.error_code) == (505, "http_version_not_supported")
        assert client.ends() == b""
