"""With debug a worker says of each request where it is; without, it says nothing."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from llm_metrics_proxy.proxy import stations
from tests.proxy.client import STREAMED_CHAT, get, post
from tests.proxy.harness import ProxyWorker
from tests.upstream import Close, FakeUpstream, Send, in_turn, json_response, openai_handler, unused_port
from tests.waiting import wait_until

pytestmark = pytest.mark.system

_LINE = re.compile(r"\S+ debug worker-0: request ([0-9a-f]{32}): (?:\+(\d+\.\d{3}) ms )?(.*)")
SECRET = b"sk-do-not-tell"


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream(openai_handler) as server:
        yield server


def told(proxy: ProxyWorker, request_id: str) -> list[tuple[float, str]]:
    """Milliseconds and station of one request, once its record is in the journal."""

    def lines() -> list[tuple[float, str]]:
        found = [_LINE.fullmatch(line) for line in proxy.log.splitlines()]
        return [(float(m[2] or 0), m[3]) for m in found if m is not None and m[1] == request_id]

    wait_until(lambda: any(station == "its record is in the journal" for _, station in lines()))
    return lines()


def names(found: list[tuple[float, str]]) -> list[str]:
    return [station for _, station in found]


def test_each_station_of_a_stream_is_one_line_with_its_time(tmp_path: Path, upstream: FakeUpstream) -> None:
    with ProxyWorker(tmp_path, upstream.url, log_level="debug") as proxy:
        answer = proxy.ask(post(STREAMED_CHAT, b"Authorization: Bearer " + SECRET, path=b"/v1/chat/completions?key=q7"))
        assert answer.status == 200
        record = proxy.record()
        found = told(proxy, record.request_id)
        address = upstream.url.removeprefix("http://")
        assert names(found) == [
            "accepted POST /v1/chat/completions",
            "request complete",
            f"backend {address}, attempt 1",
            "connected",
            "request sent",
            "answer begins: status 200",
            "first byte of the body",
            "first token",
            "ended: completed, status 200",
            "its record is in the journal",
        ]
        times = [ms for ms, _ in found[:-1]]
        assert all(one <= other for one, other in pairwise(times))
        assert times[-2] == pytest.approx(record.time_to_first_token_ms, abs=0.01)
        assert times[-1] == pytest.approx(record.response_time_ms, abs=0.01)
        for secret in (SECRET.decode(), "key=q7", "Hi", "messages"):
            assert secret not in proxy.log


def test_the_fast_lane_tells_the_same_stations(tmp_path: Path, upstream: FakeUpstream) -> None:
    with ProxyWorker(tmp_path, upstream.url, log_level="debug") as proxy:
        with proxy.connect() as client:
            for _ in range(3):
                client.send(post())
                assert client.answer().status == 200
        records = proxy.records(3)
        stations_of = [names(told(proxy, record.request_id)) for record in records]
        begin, connected, *rest = stations_of[0][:3], *stations_of[0][3:]
        assert connected == "connected"
        assert stations_of[2] == [*begin, "connection reused", *rest]


def test_a_request_that_fails_says_why(tmp_path: Path) -> None:
    with ProxyWorker(tmp_path, f"http://127.0.0.1:{unused_port()}", log_level="debug") as proxy:
        assert proxy.ask(post()).status == 502
        found = names(told(proxy, proxy.record().request_id))
        assert found[-2] == "ended: upstream_unreachable, connect_refused"
        proxy.forget()
        assert proxy.ask(get(b"/api/secret")).status == 403
        found = names(told(proxy, proxy.record().request_id))
        assert found[0].startswith("accepted GET ")
        assert found[-2].startswith("ended: ")


def test_a_request_that_is_sent_again_has_a_line_for_each_attempt(tmp_path: Path) -> None:
    script = in_turn([Send(json_response({"data": []}))], [Close()], [Send(json_response({"data": []}))])
    with FakeUpstream(script) as server, ProxyWorker(tmp_path, server.url, log_level="debug") as proxy:
        with proxy.connect() as client:
            for _ in range(2):
                client.send(get())
                assert client.answer(b"GET").status == 200
        first, second = (names(told(proxy, record.request_id)) for record in proxy.records(2))
    address = server.url.removeprefix("http://")
    begin, end = first[: first.index("connected")], first[first.index("request sent") :]
    assert begin[-1] == f"backend {address}, attempt 1"
    assert second == [
        *begin, "connection reused", "request sent", f"attempt 1 failed: {address}:reset",
        f"backend {address}, attempt 2", "connected", *end,
    ]  # fmt: skip


def test_another_backend_after_a_failed_one_has_its_lines(tmp_path: Path, upstream: FakeUpstream) -> None:
    backends = [
        {"name": "gone", "url": f"http://127.0.0.1:{unused_port()}"},
        {"name": "well", "url": upstream.url},
    ]
    with ProxyWorker(tmp_path, "", backends=backends, log_level="debug") as proxy:
        assert proxy.ask(post()).status == 200
        found = names(told(proxy, proxy.record().request_id))
        at = found.index("attempt 1 failed: gone:connect_refused")
        assert found[at - 1].startswith("backend gone (")
        assert found[at + 1] == f"backend well ({upstream.url.removeprefix('http://')}), attempt 2"
        proxy.forget()
        assert proxy.ask(get()).status == 200
        listed = names(told(proxy, proxy.record().request_id))
        assert listed[1:] == [
            "request complete", "all 2 backends are asked", "ended: completed, status 200",
            "its record is in the journal",
        ]  # fmt: skip


def test_without_debug_there_is_not_a_line(tmp_path: Path, upstream: FakeUpstream) -> None:
    assert not stations.on
    with ProxyWorker(tmp_path, upstream.url) as proxy:
        assert proxy.ask(post()).status == 200
        proxy.record()
        assert "request" not in proxy.log
