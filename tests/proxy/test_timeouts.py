"""Every wait has its limit; each limit has its status, its record, and leaves the others alone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.proxy.client import CHAT, STREAMED_CHAT, Answer, get, post, request
from tests.proxy.harness import ProxyWorker
from tests.upstream import (
    CHUNKED,
    EVENT_STREAM,
    LAST_CHUNK,
    FakeUpstream,
    Pause,
    Request,
    Script,
    Send,
    Stall,
    chat_events,
    chunk,
    head,
    openai_handler,
    response,
    unanswered_port,
    unused_port,
)  # fmt: skip
from tests.waiting import wait_until

pytestmark = pytest.mark.system

LIMIT_S = 1.0
FIRST, *REST = chat_events()


def handler(received: Request) -> Script:
    """What the path asks for."""
    match received.target.rpartition("/")[2]:
        case "silent":
            return [Stall()]
        case "early":
            return [Send(head(103)), Stall()]
        case "stalls":
            return [Send(head(200, EVENT_STREAM, CHUNKED) + chunk(FIRST)), Stall()]
        case "steady":
            pieces = [step for event in REST for step in (Pause(LIMIT_S * 0.3), Send(chunk(event)))]
            return [Send(head(200, EVENT_STREAM, CHUNKED) + chunk(FIRST)), *pieces, Send(LAST_CHUNK)]
        case _:
            return openai_handler(received)


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyWorker]:
    """A worker whose limits are all short."""
    limits = dict.fromkeys(
        ("header_timeout_s", "body_timeout_s", "first_byte_timeout_s", "idle_timeout_s", "connect_timeout_s"), LIMIT_S
    )
    folder = tmp_path_factory.mktemp("hasty")
    with (
        FakeUpstream(handler) as upstream,
        ProxyWorker(folder, upstream.url, keepalive_timeout_s=LIMIT_S, allow_all_paths=True, **limits) as proxy,
    ):
        yield proxy
        proxy.assert_every_request_has_one_record()


def test_each_limit_ends_its_request_and_no_other(hasty: ProxyWorker) -> None:
    """All at once: they must not disturb each other."""
    hasty.forget()

    def silent() -> Answer:
        return hasty.ask(post(path=b"/v1/silent"))

    def early() -> Answer:
        with hasty.connect() as client:
            client.send(post(path=b"/v1/early"))
            assert client.head().status == 103
            return client.answer()

    def stalls() -> Answer:
        return hasty.ask(post(STREAMED_CHAT, path=b"/v1/stalls"))

    def steady() -> Answer:
        return hasty.ask(post(STREAMED_CHAT, path=b"/v1/chat/completions/steady"))

    def slow_body() -> Answer:
        with hasty.connect() as client:
            client.send(post(CHAT, path=b"/v1/slow_body")[:-10])
            answer = client.answer()
            assert client.ends() == b""
            return answer

    def slow_upload() -> Answer:
        with hasty.connect() as client:
            client.send(post(CHAT, b"Content-Type: audio/wav", path=b"/v1/slow_upload")[:-10])
            return client.answer()

    def slow_head() -> Answer:
        with hasty.connect() as client:
            client.send(get()[:-2])
            answer = client.answer(b"GET")
            assert client.ends() == b""
            return answer

    def steady_body() -> Answer:
        with hasty.connect() as client:
            client.send_slowly(post(CHAT, path=b"/v1/chat/completions"), cut=60, pause_s=LIMIT_S * 0.3)
            return client.answer()

    asks = (silent, early, stalls, steady, slow_body, slow_upload, slow_head, steady_body)
    with ThreadPoolExecutor(len(asks)) as threads:
        running = {ask.__name__: threads.submit(ask) for ask in asks}
        answers = {name: future.result() for name, future in running.items()}
    codes = {name: (answer.status, answer.error_code) for name, answer in answers.items() if answer.status >= 400}
    assert codes == {
        "silent": (504, "first_byte_timeout"),
        "early": (504, "first_byte_timeout"),
        "slow_body": (408, "slow_request"),
        "slow_upload": (408, "slow_request"),
        "slow_head": (408, "slow_request"),
    }
    assert (answers["stalls"].whole, answers["stalls"].body) == (False, FIRST)
    assert (answers["steady"].whole, answers["steady"].body) == (True, FIRST + b"".join(REST))
    assert answers["steady_body"].whole
    records = {record.endpoint.rpartition("/")[2]: record for record in hasty.records(7)}
    assert {name: (record.outcome, record.error_type, record.status_code) for name, record in records.items()} == {
        "silent": ("upstream_timeout", "first_byte_timeout", 504),
        "early": ("upstream_timeout", "first_byte_timeout", 504),
        "stalls": ("upstream_timeout", "idle_timeout", 200),
        "steady": ("completed", None, 200),
        "slow_body": ("client_error", "slow_request", 408),
        "slow_upload": ("client_error", "slow_request", 408),
        "completions": ("completed", None, 200),
    }
    least_ms = LIMIT_S * 1000
    for name in ("silent", "stalls"):
        assert least_ms <= (records[name].response_time_ms or 0) < least_ms + 5000, "the defaults are minutes"
    assert least_ms <= (records["steady"].response_time_ms or 0), "a limit on the whole would have cut it off"


def test_the_llm_server_is_told_to_stop_when_its_time_is_over(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("stop")
    with FakeUpstream([Stall()]) as upstream, ProxyWorker(folder, upstream.url, first_byte_timeout_s=0.1) as proxy:
        assert proxy.ask(post()).status == 504
        assert upstream.connections[0].peer_closed.wait(10)


def test_idle_connections_are_closed_without_a_word(hasty: ProxyWorker) -> None:
    with hasty.connect() as fresh, hasty.connect() as used:
        used.send(get())
        assert used.answer(b"GET").status == 200
        assert fresh.read_to_end() == used.read_to_end() == b""


def test_a_health_check_that_never_ends_is_closed(hasty: ProxyWorker) -> None:
    with hasty.connect() as client:
        client.send(request(b"POST", b"/health", b"Content-Length: 10") + b"x")
        assert client.ends() == b""


def test_a_pipelined_request_may_take_its_body_time_from_its_own_turn_on(hasty: ProxyWorker) -> None:
    hasty.forget()
    with hasty.connect() as client:
        late = post(CHAT)
        client.send(post(STREAMED_CHAT, path=b"/v1/chat/completions/steady") + late[:-10])
        assert client.answer().whole
        client.send(late[-10:])
        assert client.answer().status == 200
    assert all(record.success for record in hasty.records(2))


def test_servers_that_cannot_be_reached_become_502_and_504(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("unreachable")
    with unanswered_port() as silent, FakeUpstream(on_connect=[Send(b"SSH-2.0-x\r\n"), Stall()]) as plain:
        backends = {
            "dns": ("http://no-such-host.invalid", 502, "upstream_unreachable"),
            "connect_refused": (f"http://127.0.0.1:{unused_port()}", 502, "upstream_unreachable"),
            "connect_timeout": (f"http://127.0.0.1:{silent}", 504, "upstream_timeout"),
            "tls": (f"https://127.0.0.1:{plain.port}", 502, "upstream_unreachable"),
        }
        overlong = f"http://{'a' * 70}.invalid"

        def reach(backend: str, code: str) -> tuple[int, str]:
            with ProxyWorker(folder / f"{code}{len(backend)}", backend, connect_timeout_s=3) as proxy:
                answer = proxy.ask(post())
                record = proxy.record()
                assert (record.status_code, record.error_type) == (answer.status, answer.error_code)
                assert record.upstream_acquired_ms is None
                assert proxy.health()["backend_error"]
                assert proxy.ask(get(b"/ready")).status == 503
                return answer.status, record.outcome + ":" + answer.error_code

        with ThreadPoolExecutor(5) as threads:
            asked = {code: threads.submit(reach, backend, code) for code, (backend, _, _) in backends.items()}
            assert threads.submit(reach, overlong, "dns").result() == (502, "upstream_unreachable:dns")
            for code, (_, status, outcome) in backends.items():
                assert asked[code].result() == (status, f"{outcome}:{code}")


def test_a_client_that_takes_nothing_is_dropped(tmp_path_factory: pytest.TempPathFactory) -> None:
    def flood(_: Request) -> Script:
        return [Send(head(200, EVENT_STREAM, CHUNKED)), *[Send(chunk(b"x" * 100_000))] * 400, Send(LAST_CHUNK)]

    folder = tmp_path_factory.mktemp("deaf")
    with (
        FakeUpstream(flood) as upstream,
        ProxyWorker(folder, upstream.url, send_timeout_s=0.3) as proxy,
        proxy.connect(receive_buffer_bytes=4096) as client,
    ):
        client.send(post(STREAMED_CHAT))
        record = proxy.record()
        assert upstream.connections[0].peer_closed.wait(10)
        client.ends()
    assert (record.outcome, record.error_type, record.status_code) == ("client_disconnected", "send_timeout", 200)


def test_a_client_that_never_takes_the_last_bytes_is_dropped(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("deaf")
    with (
        FakeUpstream([Send(response(b"x" * 6_000_000))]) as upstream,
        ProxyWorker(folder, upstream.url, send_timeout_s=0.3, keepalive_timeout_s=0.3) as proxy,
        proxy.connect(receive_buffer_bytes=4096) as client,
    ):
        client.send(post(CHAT, b"Connection: close"))
        wait_until(lambda: len(proxy.closed()) == 1)
        wait_until(lambda: proxy.health()["workers"][0]["open_connections"] == 1)
