"""Shares of a server's busy time: equal ones, and in the end all of it."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.analytics.filters import stored_time
from llm_metrics_proxy.ingestion.busy_time import BusyTime
from llm_metrics_proxy.journal.frames import OPENED, encode
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.storage.base import OpenRequest
from tests.journal_parts import an_ended_record

START = datetime(2026, 11, 29, 12, tzinfo=UTC)


class Asked(NamedTuple):
    """A request in milliseconds since ``START``."""

    opened: int
    sent_after: int
    ended: int
    backend: str = "box:8000"

    def record(self, number: int = 1) -> RequestRecord:
        record = an_ended_record(
            number,
            backend=self.backend,
            request_sent_ms=float(self.sent_after),
            response_time_ms=float(self.ended - self.opened),
        )
        record.timestamp = stored_time(START + timedelta(milliseconds=self.opened))
        return record

    def open(self, number: int) -> OpenRequest:
        frame = bytes((OPENED,)) + encode(self.record(number))
        return OpenRequest(f"{number:032x}", "w", frame)


def test_one_alone_has_all_of_its_time() -> None:
    assert BusyTime().shares([Asked(0, 10, 110).record()], ()) == [100.0]


def test_two_share_the_moments_that_they_have_together() -> None:
    first, second = Asked(0, 0, 100), Asked(50, 0, 150)
    assert BusyTime().shares([first.record(1), second.record(2)], ()) == [75.0, 75.0]


def test_servers_are_apart() -> None:
    first, second = Asked(0, 0, 100), Asked(0, 0, 100, "other:8000")
    assert BusyTime().shares([first.record(1), second.record(2)], ()) == [100.0, 100.0]


def test_one_that_is_still_open_counts_from_its_beginning() -> None:
    short, long = Asked(50, 0, 100), Asked(0, 0, 300)
    busy = BusyTime()
    assert busy.shares([short.record(1)], [long.open(2)]) == [25.0]
    busy.confirm()
    assert busy.shares([long.record(2)], ()) == [275.0]


def test_a_late_record_finds_what_is_left() -> None:
    busy = BusyTime()
    assert busy.shares([Asked(0, 0, 100).record(1)], ()) == [100.0]
    busy.confirm()
    assert busy.shares([Asked(50, 0, 150).record(2)], ()) == [50.0]


def test_what_was_not_stored_is_given_away_again() -> None:
    busy = BusyTime()
    for _ in range(3):  # the transaction failed twice
        assert busy.shares([Asked(0, 0, 100).record(1)], ()) == [100.0]
    busy.confirm()
    assert busy.shares([Asked(0, 0, 100).record(2)], ()) == [0.0]


def test_what_was_kept_for_one_that_was_sent_later_is_lost_to_nobody() -> None:
    busy = BusyTime()
    slow = Asked(0, 90, 200)  # its body took long to come
    assert busy.shares([Asked(0, 0, 100).record(1)], [slow.open(2)]) == [50.0]
    busy.confirm()
    assert busy.shares([slow.record(2)], ()) == [pytest.approx(150.0)]


@pytest.mark.parametrize("missing", ["backend", "request_sent_ms", "response_time_ms"])
def test_one_that_was_never_sent_has_none(missing: str) -> None:
    record = Asked(0, 0, 100).record()
    setattr(record, missing, None)
    assert BusyTime().shares([record], ()) == [None]


@pytest.mark.parametrize("nonsense", [-1.0, 1e300, float("nan"), float("inf")])
def test_nonsense_has_none(nonsense: float) -> None:
    record = Asked(0, 0, 100).record()
    record.response_time_ms = nonsense
    assert BusyTime().shares([record], ()) == [None]


def test_a_frame_that_cannot_be_read_counts_as_nothing() -> None:
    broken = OpenRequest("x", "w", b"\x01\xff")
    assert BusyTime().shares([Asked(0, 0, 100).record(1)], [broken]) == [100.0]


requests = st.lists(
    st.builds(
        lambda opened, sent, took, backend: Asked(opened, sent, opened + sent + took, backend),
        st.integers(0, 2_000), st.integers(0, 50), st.integers(1, 1_000), st.sampled_from(["a:1", "b:2"]),
    ),
    min_size=1, max_size=25,
)  # fmt: skip


def busy_ms(asked: list[Asked], backend: str) -> int:
    """Millisecond by millisecond."""
    return len({at for one in asked if one.backend == backend for at in range(one.opened + one.sent_after, one.ended)})


@given(requests, st.lists(st.integers(0, 3_200), max_size=6))
def test_all_shares_together_are_the_time_in_which_the_server_was_busy(asked: list[Asked], cuts: list[int]) -> None:
    """Whatever is stored when; what is open then is known by its frame, and was perhaps sent later."""
    busy, sums = BusyTime(), {"a:1": 0.0, "b:2": 0.0}
    left = dict(enumerate(asked))
    for cut in (*sorted(cuts), 10_000):
        ended = {number: one for number, one in left.items() if one.ended <= cut}
        left = {number: one for number, one in left.items() if number not in ended}
        behind = [one.open(number) for number, one in left.items() if one.opened < cut]
        shares = busy.shares([one.record(number) for number, one in ended.items()], behind)
        for one, share in zip(ended.values(), shares, strict=True):
            assert share is not None
            assert share >= 0
            sums[one.backend] += share
        busy.confirm()
    for backend, total in sums.items():
        assert total == pytest.approx(busy_ms(asked, backend), abs=1e-6)


@given(requests)
def test_of_what_is_stored_together_each_has_an_equal_part_of_every_moment(asked: list[Asked]) -> None:
    found = BusyTime().shares([one.record(number) for number, one in enumerate(asked)], ())
    for one, share in zip(asked, found, strict=True):
        others = [other for other in asked if other.backend == one.backend]
        wanted = sum(
            1 / sum(other.opened + other.sent_after <= at < other.ended for other in others)
            for at in range(one.opened + one.sent_after, one.ended)
        )
        assert share == pytest.approx(wanted, abs=1e-6)
