"""Upstream connections are reused, bounded, and replaced when they have gone stale."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.proxy.client import PATIENCE_S, get, post
from tests.proxy.conftest import Stage
from tests.proxy.harness import SHOWN_ALL, ProxyWorker
from tests.upstream import (
    Close,
    FakeUpstream,
    Gate,
    Pause,
    Request,
    Reset,
    Script,
    Send,
    chat_completion,
    in_turn,
    json_response,
    openai_handler,
)  # fmt: skip
from tests.waiting import wait_until

pytestmark = pytest.mark.system

OK = Send(json_response(chat_completion()))


def test_one_connection_serves_one_request_after_the_other(stage: Stage) -> None:
    with stage.play([OK]) as upstream:
        for _ in range(5):
            assert stage.proxy.ask(post()).status == 200
    assert len(upstream.connections) == 1
    first, *later = stage.proxy.records(5)
    assert (first.upstream_reused, [record.upstream_reused for record in later]) == (False, [True] * 4)
    assert first.connect_ms is not None
    assert {record.connect_ms for record in later} == {None}


@pytest.mark.parametrize("end", [Close(), Reset()])
def test_a_connection_closed_while_it_was_idle_is_replaced_unnoticed(stage: Stage, end: Close | Reset) -> None:
    with stage.play(in_turn([OK, end], [OK], [OK])) as upstream:
        assert stage.proxy.ask(post()).status == 200
        assert upstream.connections[0].ended.wait(10)
        time.sleep(0.02)
        assert stage.proxy.ask(post()).status == 200
    assert [record.retries for record in stage.proxy.records(2)] == [0, 0]


@pytest.mark.parametrize("end", [[Close()], [Pause(0.1), Close()], [Pause(0.1), Reset()]])
def test_a_post_that_the_server_had_read_is_not_sent_again(stage: Stage, end: Script) -> None:
    """A FIN acknowledges it, and after 40 ms the server's system does."""
    with stage.play(in_turn([OK], end, [OK])) as upstream:
        assert stage.proxy.ask(post()).status == 200
        answer = stage.proxy.ask(post())
    assert (answer.status, answer.error_code) == (502, "reset")
    assert len(upstream.requests) == 2
    _, second = stage.proxy.records(2)
    assert (second.attempts, second.retries, second.attempt_errors) == (1, 0, None)
    assert "may have begun" in (second.error_message or "")


def test_a_post_whose_connection_was_reset_unacknowledged_is_sent_again(stage: Stage) -> None:
    """What a client sees of a connection that a load balancer had dropped. On a busy machine the acknowledgement may be
    quicker than the reset; then it is not repeated, and the scene is played again."""
    for number in range(20):
        with stage.play(in_turn([OK], [Reset()], [OK])) as upstream:
            assert stage.proxy.ask(post()).status == 200
            answer = stage.proxy.ask(post())
        _, second = stage.proxy.records(2 * number + 2)[-2:]
        assert (answer.status, len(upstream.requests)) == ((200, 3) if second.retries else (502, 2))
        if second.retries:
            assert (second.attempts, second.upstream_reused) == (2, False)
            assert second.attempt_errors == f"127.0.0.1:{stage.port}:unsent"
            return
    raise AssertionError("it was never sent again")


@pytest.mark.parametrize(("end", "why"), [(Close(), {"reset"}), (Reset(), {"reset", "unsent"})])
def test_a_get_is_tried_once_more_whatever_became_of_it(stage: Stage, end: Close | Reset, why: set[str]) -> None:
    """RFC 9110 section 9.2.2: asking twice asks for nothing more."""
    with stage.play(in_turn([OK], [end], [OK])) as upstream:
        assert [stage.proxy.ask(get()).status, stage.proxy.ask(get()).status] == [200, 200]
    assert len(upstream.requests) == 3
    _, second = stage.proxy.records(2)
    assert (second.attempts, second.retries, second.upstream_reused) == (2, 1, False)
    assert second.attempt_errors in {f"127.0.0.1:{stage.port}:{word}" for word in why}


@pytest.mark.parametrize(("mode", "statuses", "seen"), [("stale", [200, 200], 3), ("never", [200, 502], 2)])
@pytest.mark.parametrize("end", [Close(), Reset()])
def test_retry_unsafe_has_its_say(
    tmp_path: Path, mode: str, statuses: list[int], seen: int, end: Close | Reset
) -> None:
    """``stale`` goes by how soon the connection died, so on a busy machine the scene is played again."""
    for number in range(20):
        with (
            FakeUpstream(in_turn([OK], [end], [OK])) as upstream,
            ProxyWorker(tmp_path / str(number), upstream.url, retry_unsafe=mode) as proxy,
        ):
            found = [proxy.ask(post()).status, proxy.ask(post()).status]
            second = proxy.records(2)[1]
        if mode == "never" or second.retries:
            assert (found, len(upstream.requests)) == (statuses, seen)
            assert second.retries == (mode == "stale")
            return
    raise AssertionError("it was never retried")


@pytest.mark.parametrize("begun", [b"HTTP/1.1 1", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
def test_a_request_is_never_sent_again_once_an_answer_has_begun(stage: Stage, begun: bytes) -> None:
    with stage.play(in_turn([OK], [Send(begun), Pause(0.02), Close()])) as upstream, stage.proxy.connect() as client:
        assert stage.proxy.ask(post()).status == 200
        client.send(post())
        answer = client.answer()
        assert (client.answer() if answer.status == 103 else answer).status == 502
    assert len(upstream.requests) == 2


def test_a_request_that_was_worked_on_for_a_while_is_not_sent_again(stage: Stage) -> None:
    with stage.play(in_turn([OK], [Pause(0.4), Close()])) as upstream:
        assert [stage.proxy.ask(post()).status, stage.proxy.ask(post()).status] == [200, 502]
    assert len(upstream.requests) == 2


def test_an_upload_that_was_streamed_is_not_sent_again(stage: Stage) -> None:
    with stage.play(in_turn([OK], [Close()])):
        upload = post(b"sound", b"Content-Type: audio/wav", path=b"/v1/audio/transcriptions")
        assert [stage.proxy.ask(post()).status, stage.proxy.ask(upload).status] == [200, 502]


def test_waiting_for_a_connection_takes_turns_and_has_its_limit(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("narrow")
    options = {"upstream_max_connections": 2, "connect_timeout_s": 3.0}
    gate = Gate()

    def handler(received: Request) -> Script:
        return [gate.wait(), OK] if received.method == "POST" else [OK]

    with FakeUpstream(handler) as upstream, ProxyWorker(folder, upstream.url, **options) as proxy:
        with ThreadPoolExecutor(6) as threads:
            blocking = [threads.submit(proxy.ask, post()) for _ in range(2)]
            upstream.wait_for_requests(2)
            waiting = threads.submit(proxy.ask, get())
            given_up = proxy.connect()
            given_up.send(get(b"/v1/models/abandoned"))
            time.sleep(0.1)
            given_up.close()
            assert len(upstream.connections) == 2
            refused = waiting.result()
            assert (refused.status, refused.error_code, refused.header(b"retry-after")) == (503, "saturated", b"1")
            late = threads.submit(proxy.ask, get(b"/v1/models/late"))
            time.sleep(0.05)
            gate.open()
            assert late.result().status == 200
            assert [future.result().status for future in blocking] == [200, 200]
        outcomes = sorted(record.outcome for record in proxy.records(5))
        assert outcomes == ["client_disconnected", "completed", "completed", "completed", "proxy_error"]
        assert len(upstream.connections) == 2


def test_idle_connections_are_bounded_in_number_and_time(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("idle")
    barrier = threading.Barrier(4)

    def together(_: Request) -> Script:
        barrier.wait(PATIENCE_S)
        return [OK]

    with (
        FakeUpstream(together) as upstream,
        ProxyWorker(folder, upstream.url, upstream_max_idle=2, upstream_keepalive_s=0.4) as proxy,
    ):
        with ThreadPoolExecutor(4) as threads:
            assert {answer.status for answer in threads.map(lambda _: proxy.ask(post()), range(4))} == {200}
        wait_until(lambda: sum(each.peer_closed.is_set() for each in upstream.connections) >= 2)
        wait_until(lambda: all(each.peer_closed.is_set() for each in upstream.connections), timeout_s=PATIENCE_S)


def test_readiness_follows_the_llm_server(stage: Stage) -> None:
    def ready(method: bytes = b"GET") -> int:
        return stage.proxy.ask(get(b"/ready", method=method)).status

    assert ready() == ready(b"HEAD") == 503
    told = stage.proxy.ask(get(b"/ready", SHOWN_ALL)).json()
    assert (told["ready"], told["backend"]) == (False, f"127.0.0.1:{stage.port}")
    assert "refused" in told["reason"]
    with stage.play(openai_handler):
        assert ready() == ready(b"HEAD") == 200
        assert stage.proxy.ask(get()).status == 200
    wait_until(lambda: ready() == 503)
    assert stage.proxy.ask(get(b"/health")).status == 200
    assert len(stage.proxy.records(1)) == 1


def test_health_tells_what_the_worker_counts(stage: Stage) -> None:
    before = stage.proxy.health()["workers"][0]
    with stage.play([Send(json_response({}))]):
        stage.proxy.ask(post())
        stage.proxy.ask(b"nonsense\r\n\r\n")
    after = stage.proxy.health()
    worker = after["workers"][0]
    assert (after["status"], after["reasons"], after["records_dropped"]) == ("ok", [], 0)
    assert worker["requests"] - before["requests"] == 1
    assert worker["bad_requests"] - before["bad_requests"] == 1
    assert worker["records_written"] - before["records_written"] == 1
    assert worker["open_requests"] == 0
    answer = stage.proxy.ask(get(b"/health", method=b"HEAD"))
    assert (answer.status, answer.body) == (200, b"")
    assert stage.proxy.ask(post(path=b"/health")).status == 405


def test_a_server_that_hangs_up_on_connecting_is_unreachable_or_silent(stage: Stage) -> None:
    with stage.play(on_connect=[Reset()]):
        answers = [stage.proxy.ask(post()) for _ in range(10)]
    assert {answer.status for answer in answers} == {502}
    assert {answer.error_code for answer in answers} <= {"reset", "connect_failed"}
    assert len(stage.proxy.records(10)) == 10


def test_a_burst_of_clients_is_served(stage: Stage) -> None:
    with stage.play(openai_handler), ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda _: stage.proxy.ask(post()), range(200)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.request_id for answer in answers}) == 200
    assert {record.request_id for record in stage.proxy.records(200)} == {answer.request_id for answer in answers}
