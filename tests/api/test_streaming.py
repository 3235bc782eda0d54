import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from llm_metrics_proxy.api.scope import ASKED_FOR_HEAD
from llm_metrics_proxy.api.streaming import Streamed


def answered(chunks: Iterator[bytes], ended: list[bool], **scope: Any) -> list[Any]:
    """The messages of one answer."""
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    response = Streamed(chunks, "text/plain", {"x-a": "b"}, lambda: ended.append(True))
    asyncio.run(response({"type": "http", **scope}, receive, send))
    return sent


def test_chunks_go_out_one_by_one_and_the_end_is_told_once() -> None:
    ended: list[bool] = []
    start, *bodies = answered(iter([b"one", b"two"]), ended)
    assert start["status"] == 200
    assert (b"x-a", b"b") in start["headers"]
    assert [(one["body"], one["more_body"]) for one in bodies] == [(b"one", True), (b"two", True), (b"", False)]
    assert ended == [True]


def test_head_makes_no_chunk() -> None:
    def never() -> Iterator[bytes]:
        raise AssertionError
        yield b""

    ended: list[bool] = []
    start, body = answered(never(), ended, **{ASKED_FOR_HEAD: True})
    assert (start["status"], body) == (200, {"type": "http.response.body", "body": b""})
    assert ended == [True]


def test_where_a_chunk_cannot_be_made_the_body_has_no_end_and_the_end_is_told() -> None:
    def fails() -> Iterator[bytes]:
        yield b"one"
        raise ValueError("the second")

    ended: list[bool] = []
    with pytest.raises(ValueError, match="the second"):
        answered(fails(), ended)
    assert ended == [True]
