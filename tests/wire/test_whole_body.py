"""Any dialect's bodies: read once when whole, made small when large, and the same under every cut."""

from typing import Any, ClassVar

import msgspec
import pytest

from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_TERMINAL, ResponseFacts
from llm_metrics_proxy.wire.whole_body import WholeBodyReader
from tests.wire.counted import Read
from tests.wire.streams import facts_of


class _Part(msgspec.Struct):
    a: int | None = None


class _Answer(msgspec.Struct):
    model: str | None = None
    parts: list[_Part] | None = None
    error: str | None = None


class _Reader(WholeBodyReader):
    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = _Answer

    def facts_of(self, answer: _Answer, **ends: Any) -> ResponseFacts:
        return ResponseFacts(
            response_model=answer.model,
            tool_call_count=None if answer.parts is None else len(answer.parts),
            **ends,
        )


def facts(body: bytes) -> ResponseFacts:
    """The same for small and large bodies, or this fails."""
    large = facts_of(lambda: _Reader(1), body)
    assert facts_of(_Reader, body) == large
    return large


def test_what_nobody_reads_below_the_top_is_not_decoded_in_a_large_body() -> None:
    body = b'{"model":"m","parts":[{"a":1,"huge":{"x":[NaN,1e999]}},{"huge":"\\u00e9"}],"huge":1}'
    assert facts_of(lambda: _Reader(1), body) == Read(response_model="m", tool_call_count=2, terminal=True)


def test_a_whole_body_shows_its_bits_at_once_and_one_in_pieces_only_facts() -> None:
    assert _Reader().feed(b'{"model":"m"}') == SAW_TERMINAL
    assert _Reader().feed(b'{"error":"boom"}\n') == SAW_TERMINAL | SAW_ERROR
    pieces = _Reader()
    assert pieces.feed(b'{"model":') == pieces.feed(b'"m"}') == 0
    assert pieces.finish() == ResponseFacts(response_model="m", terminal=True)


@pytest.mark.parametrize("end", [0, 1, 12, 20, 30])
def test_one_that_breaks_off_gives_what_was_whole_in_it(end: int) -> None:
    found = facts(b'{"model":"m","parts":[{},{}],"error":"x"}'[:end])
    assert (found.terminal, found.malformed) == (False, False)
    assert found.response_model == ("m" if end > 12 else None)
