"""The open-loop client sends what it promised and counts every answer."""

import asyncio

import pytest
from bench.rate_client import latencies_us

from tests.upstream import FakeUpstream, Pause, Send, Stall, error_response, json_response


def test_every_request_has_a_latency_and_connections_are_kept() -> None:
    with FakeUpstream([Pause(0.01), Send(json_response({}))]) as upstream:
        latencies = asyncio.run(latencies_us(upstream.port, 100, 0.3))
        assert len(latencies) == 30
        assert all(10_000 <= latency < 2_000_000 for latency in latencies)
        assert len(upstream.requests) == 38  # eight of them to warm up
        assert len(upstream.connections) < 38


def test_an_answer_that_never_comes_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.rate_client._LIMIT_S", 0.1)
    with FakeUpstream([Stall()]) as upstream, pytest.raises(TimeoutError):
        asyncio.run(latencies_us(upstream.port, 100, 0.05))


def test_an_error_is_not_taken_for_a_fast_answer() -> None:
    with FakeUpstream([Send(error_response(500, "no"))]) as upstream, pytest.raises(AssertionError, match="500"):
        asyncio.run(latencies_us(upstream.port, 100, 0.05))
