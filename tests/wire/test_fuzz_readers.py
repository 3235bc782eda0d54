"""The fuzz runner works, finds no fault in a moment's run, and would find one."""

import pytest
from tools import fuzz_readers

from llm_metrics_proxy.wire.base import ResponseFacts


@pytest.mark.parametrize("name", fuzz_readers.TARGETS)
def test_no_reader_raises_or_reads_the_same_bytes_in_two_ways(name: str) -> None:
    assert fuzz_readers.fuzz(name, 0.05, seed=1) > 0


class _Raises:
    def feed(self, data: bytes) -> int:
        raise ValueError

    def finish(self) -> ResponseFacts:
        return ResponseFacts()


class _CountsPieces(_Raises):
    def __init__(self) -> None:
        self.pieces = 0

    def feed(self, data: bytes) -> int:
        self.pieces += 1
        return 0

    def finish(self) -> ResponseFacts:
        return ResponseFacts(content_chunks=self.pieces)


@pytest.mark.parametrize("wrong", [_Raises, _CountsPieces])
def test_a_reader_that_is_wrong_is_found(wrong: type[_Raises], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fuzz_readers.TARGETS, "openai", (wrong, [b"x" * 5000]))
    with pytest.raises(AssertionError, match=r"openai (raised|read)"):
        fuzz_readers.fuzz("openai", 5, seed=1)
