"""Several backends behind one worker, through real sockets: who is asked, who is passed over, who takes over."""

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.client import CHAT, get, post
from tests.proxy.harness import SHOWN_ALL, ProxyWorker
from tests.upstream import (
    Certificate,
    Close,
    FakeUpstream,
    Gate,
    Pause,
    Receive,
    Request,
    Reset,
    Script,
    Send,
    Stall,
    chat_completion,
    error_response,
    in_turn,
    json_response,
    openai_handler,
    unused_port,
)  # fmt: skip
from tests.waiting import wait_until

pytestmark = pytest.mark.system


def chat(model: str = "fake-1", path: bytes = b"/v1/chat/completions", *lines: bytes) -> bytes:
    return post(b'{"model":"%b"}' % model.encode(), *lines, path=path)


def lists(*names: str) -> Any:
    """A server with these models, which answers chats as well."""

    def handler(request: Request) -> Script:
        if request.method == "GET":
            return [Send(json_response({"object": "list", "data": [{"id": name} for name in names]}))]
        return openai_handler(request)

    return handler


def told(name: str, server: FakeUpstream | str, **options: Any) -> dict[str, Any]:
    return {"name": name, "url": server if isinstance(server, str) else server.url, **options}


def dead() -> str:
    """Where connecting is refused."""
    return f"http://127.0.0.1:{unused_port()}"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def serve(stack: ExitStack, folder: Path, backends: list[dict[str, Any]], **options: Any) -> ProxyWorker:
    return stack.enter_context(ProxyWorker(folder, "", backends=backends, **options))


def test_the_path_or_the_model_says_who_answers(stack: ExitStack, tmp_path: Path) -> None:
    a, b, c = (stack.enter_context(FakeUpstream()) for _ in range(3))
    proxy = serve(
        stack, tmp_path, [told("a", a, models=["llama*"]), told("b", b, models=["gpt-*", "o?"]), told("c.3", c)]
    )
    asked = [("llama3", a), ("gpt-4", b), ("o1", b), ("o10", c), ("mistral", c)]
    for number, (model, server) in enumerate(asked, 1):
        assert proxy.ask(chat(model)).json()["model"] == model
        assert server.requests[-1].json()["model"] == model
        assert len(a.requests) + len(b.requests) + len(c.requests) == number
    assert proxy.ask(chat("gpt-4", b"/c.3/v1/chat/completions?x=1")).status == 200
    assert (c.requests[-1].target, c.requests[-1].header("host")) == (
        "/v1/chat/completions?x=1", f"127.0.0.1:{c.port}",
    )  # fmt: skip
    records = proxy.records(6)
    assert [record.backend_name for record in records] == ["a", "b", "b", "c.3", "c.3", "c.3"]
    assert {record.endpoint for record in records} == {"/v1/chat/completions"}
    assert {record.dialect for record in records} == {"openai_chat"}
    assert {(record.attempts, record.attempt_errors) for record in records} == {(1, None)}
    assert records[0].backend == f"127.0.0.1:{a.port}"


def test_the_name_in_the_path_does_not_get_around_the_path_policy(stack: ExitStack, tmp_path: Path) -> None:
    a = stack.enter_context(FakeUpstream())
    proxy = serve(stack, tmp_path, [told("a", a), told("b", a)])
    for path in (b"/a/api/pull", b"/a/../api/pull", b"/a/v1/../../api/pull", b"/a/a/v1/models", b"/%61/v1/models"):
        assert proxy.ask(post(CHAT, path=path)).error_code == "path_not_allowed"
    assert a.requests == []


def test_a_path_that_only_one_dialect_has_goes_to_that_dialect(stack: ExitStack, tmp_path: Path) -> None:
    openai, claude, ollama = (stack.enter_context(FakeUpstream()) for _ in range(3))
    backends = [
        told("openai", openai, dialect="openai"),
        told("claude", claude, dialect="anthropic", api_key="sk-claude"),
        told("ollama", ollama, dialect="ollama"),
    ]
    proxy = serve(stack, tmp_path, backends)
    assert proxy.ask(chat("m", b"/v1/messages", b"Authorization: Bearer client")).status == 200
    assert proxy.ask(chat("m", b"/api/chat")).status == 200
    assert claude.requests[0].header("x-api-key") == "sk-claude"
    assert claude.requests[0].header("authorization") is None
    assert [len(server.requests) for server in (openai, claude, ollama)] == [0, 1, 1]


def test_a_model_that_nobody_serves_is_refused_in_words(stack: ExitStack, tmp_path: Path) -> None:
    a = stack.enter_context(FakeUpstream())
    proxy = serve(stack, tmp_path, [told("a", a, models=["llama*"]), told("b", a, models=["gpt-*"])])
    answer = proxy.ask(chat("claude"))
    assert (answer.status, answer.error_code) == (404, "no_backend_for_model")
    assert "'claude'" in answer.json()["error"]["message"]
    record = proxy.record()
    assert (record.outcome, record.error_type, record.attempts) == ("rejected", "no_backend_for_model", None)
    assert a.requests == []


def test_a_single_backend_that_lists_its_models_refuses_others(stack: ExitStack, tmp_path: Path) -> None:
    a = stack.enter_context(FakeUpstream())
    proxy = serve(stack, tmp_path, [told("a", a, models=["llama*"])])
    assert proxy.ask(chat("llama3")).status == 200
    assert proxy.ask(chat("gpt")).status == 404
    assert proxy.ask(chat("gpt", b"/a/v1/chat/completions")).status == 200  # named, so asked


def test_keys_and_fields_of_a_backend_replace_the_clients(stack: ExitStack, tmp_path: Path) -> None:
    a, b = (stack.enter_context(FakeUpstream()) for _ in range(2))
    backends = [
        told("a", a, models=["a"], api_key="sk-secret-key", add_headers={"X-Team": "red"}),
        told("b", b, models=["b"]),
    ]
    proxy = serve(stack, tmp_path, backends)
    lines = (b"Authorization: Bearer client", b"x-team: blue")
    assert proxy.ask(chat("a", b"/v1/chat/completions", *lines)).status == 200
    assert proxy.ask(chat("b", b"/v1/chat/completions", *lines)).status == 200
    [first], [second] = a.requests, b.requests
    assert [value for name, value in first.fields if name.lower() in {b"authorization", b"x-team"}] == [
        b"red", b"Bearer sk-secret-key",
    ]  # fmt: skip
    assert (second.header("authorization"), second.header("x-team")) == ("Bearer client", "blue")
    one, other = proxy.records(2)
    assert one.api_key_id == other.api_key_id  # who asked, not with what
    assert "sk-secret-key" not in proxy.log + str(proxy.health())


@pytest.mark.parametrize("streamed_upload", [False, True])
def test_weights_are_kept_exactly_while_requests_come_one_by_one(
    stack: ExitStack, tmp_path: Path, streamed_upload: bool
) -> None:
    servers = [stack.enter_context(FakeUpstream([Send(json_response(chat_completion()))])) for _ in range(3)]
    weights = (5, 2, 1)
    proxy = serve(
        stack, tmp_path,
        [told(f"s{n}", server, weight=weight) for n, (server, weight) in enumerate(zip(servers, weights, strict=True))],
    )  # fmt: skip
    lines = (b"Content-Type: audio/wav",) if streamed_upload else ()
    with proxy.connect() as client:
        for _ in range(40):
            client.send(post(b'{"model":"m"}', *lines))
            assert client.answer().status == 200
    assert [len(server.requests) for server in servers] == [25, 10, 5]


def test_a_busy_backend_gets_less(stack: ExitStack, tmp_path: Path) -> None:
    gate = Gate()
    slow = stack.enter_context(FakeUpstream([gate.wait(), Send(json_response(chat_completion()))]))
    quick = stack.enter_context(FakeUpstream())
    proxy = serve(stack, tmp_path, [told("slow", slow), told("quick", quick)])
    with proxy.connect() as waiting:
        waiting.send(chat())
        wait_until(lambda: slow.requests != [] or quick.requests != [])
        if not slow.requests:  # the turn-by-turn choice began with the other one
            assert waiting.answer().status == 200
            waiting.send(chat())
        slow.wait_for_requests(1)
        before = len(quick.requests)
        for _ in range(5):
            assert proxy.ask(chat()).status == 200
        assert (len(slow.requests), len(quick.requests)) == (1, before + 5)
        gate.open()
        assert waiting.answer().status == 200


def test_one_that_refuses_connections_is_stepped_over_then_ejected_and_comes_back(
    stack: ExitStack, tmp_path: Path
) -> None:
    port = unused_port()
    well = stack.enter_context(FakeUpstream())
    backends = [told("gone", f"http://127.0.0.1:{port}"), told("well", well)]
    proxy = serve(stack, tmp_path, backends, eject_after_failures=2, probe_interval_s=0.1)

    def state() -> Any:
        return next(each for each in proxy.health()["backends"] if each["name"] == "gone")

    asked = 0
    while state()["up"]:
        asked += 1
        assert asked < 20
        assert proxy.ask(chat()).status == 200
    stepped_over = [record for record in proxy.records(asked) if record.attempts == 2]
    assert {record.attempt_errors for record in stepped_over} == {"gone:connect_refused"}
    assert {record.backend_name for record in stepped_over} == {"well"}
    assert len(stepped_over) == 2
    assert "passed over" in proxy.log
    proxy.forget()
    for _ in range(6):
        assert proxy.ask(chat()).status == 200
    assert {record.attempts for record in proxy.records(6)} == {1}
    assert state()["last_error"] == "connect_refused"
    assert state()["ejections"] == 1
    back = stack.enter_context(FakeUpstream(port=port))
    wait_until(lambda: bool(state()["up"]))
    assert [request.target for request in back.requests] == ["/v1/models"]
    assert "is taken again" in proxy.log
    for _ in range(4):
        assert proxy.ask(chat()).status == 200
    assert len(back.requests) > 1


def test_one_question_is_out_at_a_time(stack: ExitStack, tmp_path: Path) -> None:
    port = unused_port()
    well = stack.enter_context(FakeUpstream())
    backends = [told("mute", f"http://127.0.0.1:{port}", probe_path="/up?x"), told("well", well)]
    options = {"eject_after_failures": 1, "probe_interval_s": 0.1, "probe_timeout_s": 60}
    proxy = serve(stack, tmp_path, backends, **options)

    def state() -> Any:
        return proxy.health()["backends"][0]

    while state()["up"]:
        assert proxy.ask(chat()).status == 200
    mute = stack.enter_context(FakeUpstream([Stall()], port=port))
    mute.wait_for_requests(1)
    since = state()["ejected_for_s"]
    wait_until(lambda: state()["ejected_for_s"] > since + 1)
    assert [request.target for request in mute.requests] == ["/up?x"]


def test_one_that_says_503_is_ejected_though_its_answers_pass_unchanged(stack: ExitStack, tmp_path: Path) -> None:
    sick = stack.enter_context(FakeUpstream([Send(error_response(503, "loading"))]))
    well = stack.enter_context(FakeUpstream())
    proxy = serve(
        stack, tmp_path, [told("sick", sick), told("well", well)], eject_after_failures=3, probe_interval_s=60,
    )  # fmt: skip
    statuses = Counter(proxy.ask(chat()).status for _ in range(20))
    assert statuses == {503: 3, 200: 17}  # an answer is an answer: it is never asked for twice
    assert len(sick.requests) == 3


def test_429_and_500_say_nothing_about_the_server(stack: ExitStack, tmp_path: Path) -> None:
    full = stack.enter_context(FakeUpstream([Send(error_response(429, "slow down"))]))
    odd = stack.enter_context(FakeUpstream([Send(error_response(500, "that prompt is odd"))]))
    proxy = serve(stack, tmp_path, [told("full", full), told("odd", odd)], eject_after_failures=1)
    assert Counter(proxy.ask(chat()).status for _ in range(10)) == {429: 5, 500: 5}
    assert all(each["up"] for each in proxy.health()["backends"])


def test_with_all_ejected_the_least_bad_one_is_tried(stack: ExitStack, tmp_path: Path) -> None:
    port = unused_port()
    backends = [told("a", dead()), told("b", f"http://127.0.0.1:{port}")]
    proxy = serve(stack, tmp_path, backends, eject_after_failures=1, probe_interval_s=60)
    answer = proxy.ask(chat())
    assert (answer.status, answer.error_code) == (502, "connect_refused")
    record = proxy.record()
    assert record.attempts == 2
    assert record.attempt_errors in {"a:connect_refused", "b:connect_refused"}
    assert not any(each["up"] for each in proxy.health()["backends"])
    stack.enter_context(FakeUpstream(port=port))
    assert proxy.ask(chat()).status == 200
    proxy.forget()
    assert proxy.ask(chat()).status == 200
    assert (proxy.record().backend_name, proxy.record().attempts) == ("b", 1)


def test_a_request_that_a_server_may_have_begun_is_not_given_to_another(stack: ExitStack, tmp_path: Path) -> None:
    scripts: list[Script] = [[Reset()], [Close()], [Send(b"HTTP/1.1 "), Reset()]]
    for number, script in enumerate(scripts):
        with FakeUpstream(script) as rude, FakeUpstream(script) as ruder:
            proxy = serve(stack, tmp_path / str(number), [told("a", rude), told("b", ruder)])
            answer = proxy.ask(chat())
            assert answer.status == 502
            assert len(rude.requests) + len(ruder.requests) == 1
            record = proxy.record()
            assert (record.attempts, record.attempt_errors) == (1, None)
            proxy.stop()


def test_a_stale_connection_is_tried_afresh_and_then_the_other_server(tmp_path: Path) -> None:
    """The first server resets a reused connection and takes no new one. That a connection was stale shows in how soon
    it dies, so on a machine that is too busy the scene is played again."""
    for number in range(20):
        with (
            FakeUpstream() as well,
            FakeUpstream(in_turn([Send(json_response(chat_completion()))], [Reset()])) as first,
        ):
            backends = [told("first", first, weight=100), told("well", well)]
            with ProxyWorker(tmp_path / str(number), "", backends=backends, retry_unsafe="stale") as proxy:
                assert proxy.ask(chat()).status == 200
                first._listener.shutdown(socket.SHUT_RDWR)
                answer = proxy.ask(chat())
                record = proxy.records(2)[1]
            if not record.retries:
                assert answer.error_code == "reset"
                continue
            assert answer.status == 200
            assert (record.backend_name, record.attempts, record.retries) == ("well", 3, 1)
            assert record.attempt_errors in {f"first:{why},first:connect_refused" for why in ("reset", "unsent")}
            assert well.requests[0].body == b'{"model":"fake-1"}'
            assert well.requests[0].header("host") == f"127.0.0.1:{well.port}"
            return
    raise AssertionError("it was never retried")


def test_an_upload_goes_to_another_server_only_while_nothing_of_it_is_gone(stack: ExitStack, tmp_path: Path) -> None:
    well = stack.enter_context(FakeUpstream([Send(json_response({"text": "hi"}))]))
    proxy = serve(stack, tmp_path, [told("gone", dead(), weight=9), told("well", well)])
    with proxy.connect() as client:
        body = b"x" * 5000
        data = post(body, b"Content-Type: audio/wav", path=b"/v1/audio/transcriptions")
        client.send(data[:-3000])
        client.send(data[-3000:])
        assert client.answer().status == 200
    assert well.requests[0].body == body
    record = proxy.record()
    assert (record.backend_name, record.attempts, record.attempt_errors) == ("well", 2, "gone:connect_refused")

    breaks = stack.enter_context(FakeUpstream([Receive(0), Reset()], early=True))
    other = serve(stack, tmp_path / "other", [told("breaks", breaks, weight=9), told("well", well)])
    asked = len(well.requests)
    answer = other.ask(post(b"x" * 5000, b"Content-Type: audio/wav", path=b"/v1/audio/transcriptions"))
    assert answer.status == 502
    assert len(well.requests) == asked


def test_time_outs_may_differ_by_backend(stack: ExitStack, tmp_path: Path) -> None:
    slow = stack.enter_context(FakeUpstream([Stall()]))
    patient = stack.enter_context(FakeUpstream([Pause(0.5), Send(json_response(chat_completion()))]))
    backends = [told("slow", slow, models=["a"], first_byte_timeout_s=0.2), told("patient", patient, models=["b"])]
    proxy = serve(stack, tmp_path, backends)
    assert proxy.ask(chat("a")).error_code == "first_byte_timeout"
    assert proxy.ask(chat("b")).status == 200


def test_models_of_all_backends_are_one_list_and_one_that_fails_is_named(stack: ExitStack, tmp_path: Path) -> None:
    a = stack.enter_context(FakeUpstream(lists("m", "n")))
    b = stack.enter_context(FakeUpstream(lists("n", "o", "hidden")))
    mute = stack.enter_context(FakeUpstream([Stall()]))
    backends = [
        told("a", a), told("b", b, models=["n", "o"]), told("gone", dead()), told("mute", mute),
    ]  # fmt: skip
    proxy = serve(stack, tmp_path, backends, models_timeout_s=3.0)
    answer = proxy.ask(get(b"/v1/models", b"Authorization: Bearer k", b"Accept-Encoding: gzip"))
    assert [model["id"] for model in answer.json()["data"]] == ["m", "n", "o"]
    assert answer.header(b"x-llm-metrics-missing-backends") == b"gone,mute"
    assert a.requests[0].header("authorization") == "Bearer k"
    assert a.requests[0].header("accept-encoding") == "identity"
    record = proxy.record()
    assert (record.outcome, record.status_code, record.upstream_status_code) == ("completed", 200, None)
    assert (record.attempts, record.attempt_errors) == (4, "gone:connect_refused,mute:timeout")
    assert record.response_bytes == len(answer.body)
    assert "left out of the list of models: gone:connect_refused,mute:timeout" in proxy.log
    assert [model["id"] for model in proxy.ask(get(b"/b/v1/models")).json()["data"]] == ["n", "o", "hidden"]


def test_if_no_backend_lists_its_models_the_client_is_told_why(stack: ExitStack, tmp_path: Path) -> None:
    proxy = serve(stack, tmp_path, [told("a", dead()), told("b", dead())])
    answer = proxy.ask(get(b"/v1/models"))
    assert (answer.status, answer.error_code) == (502, "no_models")
    assert "a:connect_refused,b:connect_refused" in answer.json()["error"]["message"]
    assert proxy.record().attempts == 2


def test_a_client_that_leaves_while_models_are_listed_has_a_record(stack: ExitStack, tmp_path: Path) -> None:
    mute = stack.enter_context(FakeUpstream([Stall()]))
    proxy = serve(stack, tmp_path, [told("a", mute), told("b", mute)], models_timeout_s=60)
    with proxy.connect() as client:
        client.send(get(b"/v1/models"))
        mute.wait_for_requests(2)
    assert proxy.record().outcome == "client_disconnected"
    wait_until(lambda: not proxy.has_connections_to(mute.port))


@pytest.mark.parametrize("media", [b"application/json", b"text/plain"])
def test_a_body_that_comes_with_a_question_for_models_is_not_held_for_ever(
    stack: ExitStack, tmp_path: Path, media: bytes
) -> None:
    a = stack.enter_context(FakeUpstream(lists("m")))
    proxy = serve(stack, tmp_path, [told("a", a), told("b", a)], max_buffered_bytes=5000)
    question = get(b"/v1/models", b"Content-Type: " + media, b"Content-Length: 2000") + b"x" * 2000
    for _ in range(4):  # the third has no room where the first two are still held
        answer = proxy.ask(question)
        assert answer.status == 200
    assert {record.request_bytes for record in proxy.records(4)} == {2000}
    assert proxy.health()["workers"][0]["bodies_bytes"] == 0


def test_one_backend_with_a_name_is_passed_its_list_of_models_untouched(stack: ExitStack, tmp_path: Path) -> None:
    a = stack.enter_context(FakeUpstream(lists("m")))
    proxy = serve(stack, tmp_path, [told("a", a)])
    assert proxy.ask(get(b"/v1/models")).body == b'{"object":"list","data":[{"id":"m"}]}'
    assert a.requests[0].header("accept-encoding") is None
    assert proxy.record().backend_name == "a"


def test_each_backend_has_its_own_certificates(stack: ExitStack, tmp_path: Path) -> None:
    here = Certificate.make(_folder(tmp_path / "here"))
    there = Certificate.make(_folder(tmp_path / "there"), names="DNS:llm.internal")
    a, b = stack.enter_context(FakeUpstream(tls=here)), stack.enter_context(FakeUpstream(tls=there))
    backends = [
        told("a", a, models=["a"], ca_file=str(here.cert_file)),
        told("b", b, models=["b"], ca_file=str(there.cert_file), tls_server_name="llm.internal"),
        told("strict", b, models=["s"], ca_file=str(there.cert_file)),
        told("other-ca", a, models=["o"], ca_file=str(there.cert_file)),
        told("careless", b, models=["c"], tls_verify=False),
    ]
    proxy = serve(stack, tmp_path, backends)
    assert [proxy.ask(chat(model)).status for model in "abso"] == [200, 200, 502, 502]
    assert proxy.ask(chat("o")).error_code == "tls"
    assert proxy.ask(chat("c")).status == 200
    assert proxy.log.count("is not verified") == 1
    assert "careless" in proxy.log


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_ready_as_long_as_one_backend_can_be_connected_to(stack: ExitStack, tmp_path: Path) -> None:
    with FakeUpstream() as a:
        proxy = serve(stack, tmp_path, [told("gone", dead()), told("a", a)])
        assert proxy.ask(get(b"/ready", SHOWN_ALL)).json() == {"ready": True, "backend": "gone, a", "reason": None}
    wait_until(lambda: proxy.ask(get(b"/ready")).status == 503)
    assert proxy.ask(get(b"/ready", SHOWN_ALL)).json()["reason"].count("refused the connection") == 2


def test_many_clients_at_once_are_all_answered_while_a_backend_comes_and_goes(stack: ExitStack, tmp_path: Path) -> None:
    port = unused_port()
    well = stack.enter_context(FakeUpstream())
    proxy = serve(
        stack, tmp_path, [told("flaky", f"http://127.0.0.1:{port}"), told("well", well)],
        eject_after_failures=2, probe_interval_s=0.1,
    )  # fmt: skip
    stop = threading.Event()

    def ask_on() -> list[int]:
        statuses = []
        while not stop.is_set():
            statuses.append(proxy.ask(chat()).status)
        return statuses

    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(ask_on) for _ in range(4)]
        flaky = stack.enter_context(FakeUpstream(port=port))
        try:
            flaky.wait_for_requests(20, timeout_s=15)
        finally:
            stop.set()
        statuses = [status for result in results for status in result.result()]
    assert set(statuses) == {200}
    assert len(proxy.records(len(statuses))) == len(statuses)
    assert all(each["open_requests"] == 0 for each in proxy.health()["backends"])
