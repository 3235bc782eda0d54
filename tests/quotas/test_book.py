"""What is left of servers' limits: the newest word, until its reset, and windows over restarts."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from llm_metrics_proxy.quotas import QuotaBook, QuotaLeft
from llm_metrics_proxy.quotas.windows import MOST_WINDOWS
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.storage.base import IngestBatch, StoredWindow, WindowChanges
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.analytics.database import a_record

AT = "2026-11-29T12:00:00.000000Z"
NOW = datetime.fromisoformat(AT).timestamp()


def said(**facts: Any) -> RequestRecord:
    return msgspec.structs.replace(
        a_record(), timestamp=AT, response_headers_ms=500.0, backend="b:1", backend_name=None, api_key_id="k1", **facts
    )


def shown(book: QuotaBook, now: float = NOW + 1) -> dict[str, tuple[float | None, int | None]]:
    return {left.limit: (left.left_ratio, left.left) for left in book.left(now)}


CODEX: dict[str, Any] = {
    "quota_primary_used_percent": 12.5, "quota_primary_window_ms": 18e6, "quota_primary_reset_ms": 60_000.0,
    "quota_secondary_used_percent": 102.0, "quota_secondary_reset_ms": 3e8,
}  # fmt: skip
LIMITS: dict[str, Any] = {
    "ratelimit_limit_requests": 50, "ratelimit_remaining_requests": 20, "ratelimit_reset_requests_ms": 2000.0,
    "ratelimit_remaining_tokens": 900,
}  # fmt: skip


def test_the_share_that_is_left_goes_at_its_reset() -> None:
    book = QuotaBook()
    book.observe(said(**CODEX, **LIMITS))
    assert book.left(NOW) == []  # it is not stored yet
    book.confirm()
    assert shown(book) == {
        "requests": (0.4, 20), "tokens": (None, 900), "primary": (0.875, None), "secondary": (0.0, None),
    }  # fmt: skip
    assert book.left(NOW)[2] == QuotaLeft(
        backend="b:1", api_key_id="k1", limit="primary", left=None, left_ratio=0.875, window_s=18_000.0,
        measured_at=NOW + 0.5, resets_at=NOW + 60.5,
    )  # fmt: skip
    assert set(shown(book, NOW + 3)) == {"tokens", "primary", "secondary"}
    assert set(shown(book, NOW + 61)) == {"tokens", "secondary"}
    assert set(shown(book, NOW + 3601)) == {"secondary"}  # nobody said when the tokens are back
    assert shown(book, NOW + 1e6) == {}


def test_the_newest_word_counts_for_each_limit() -> None:
    book = QuotaBook()
    newer = msgspec.structs.replace(
        said(**CODEX), timestamp="2026-11-29T12:00:05.000000Z", quota_primary_used_percent=50.0
    )
    for record in (newer, said(**CODEX), said(**LIMITS)):
        book.observe(record)
        book.confirm()
    assert shown(book)["primary"] == (0.5, None)
    assert shown(book)["requests"] == (0.4, 20)
    book.observe(said(prompt_tokens=5))
    book.confirm()
    assert len(shown(book)) == 4


def test_there_is_a_bound_on_servers_and_keys() -> None:
    book = QuotaBook()
    for number in range(150):
        moment = f"2026-11-29T12:{number // 60:02d}:{number % 60:02d}.000000Z"
        book.observe(msgspec.structs.replace(said(**CODEX), timestamp=moment, api_key_id=f"k{number}"))
        book.confirm()
    keys = {left.api_key_id for left in book.left(NOW)}
    assert len(keys) == 100
    assert "k149" in keys


def test_a_restart_forgets_no_window(tmp_path: Path) -> None:
    book, store = QuotaBook(), SqliteStore(tmp_path / "m.db")
    for minute in range(0, 590, 7):
        at = f"2026-11-29T{minute // 60:02d}:{minute % 60:02d}:00.000000Z"
        begun = minute % 300
        book.observe(
            msgspec.structs.replace(
                said(**CODEX, **LIMITS),
                timestamp=at,
                quota_primary_used_percent=begun / 5,
                quota_primary_reset_ms=(300 - begun) * 60_000.0,
            )
        )
        store.append(IngestBatch(windows=book.take_changes()))
        book.confirm()
    store.close()
    opened = SqliteStore(tmp_path / "m.db")
    again = QuotaBook()
    again.load(opened.windows())
    opened.close()
    assert again.windows() == book.windows()
    assert [len(windows) for windows in again.windows()] == [1, 1, 2, 1]
    assert again.take_changes() == WindowChanges()


def test_what_was_not_stored_is_taken_again_and_shown_only_then() -> None:
    book = QuotaBook()
    book.observe(said(**CODEX))
    assert book.take_changes() == book.take_changes()
    assert book.windows() == []
    book.load([])  # the transaction failed, and its journal is read again
    assert book.take_changes() == WindowChanges()


def test_the_oldest_windows_and_keys_go_from_the_store_too(tmp_path: Path) -> None:
    book, store = QuotaBook(), SqliteStore(tmp_path / "m.db")
    for number in range(150):
        record = said(**CODEX)
        at = datetime.fromtimestamp(NOW + 18_000 * number, UTC).isoformat()
        one_key = msgspec.structs.replace(record, timestamp=at)
        other_keys = msgspec.structs.replace(record, timestamp=at, api_key_id=f"k{number}")
        book.observe(one_key)
        book.observe(other_keys)
        store.append(IngestBatch(windows=book.take_changes()))
        book.confirm()
    rows = store.windows()
    store.close()
    assert len({row.api_key_id for row in rows}) == 100
    assert sum(row.api_key_id == "k1" and row.limit == "primary" for row in rows) == MOST_WINDOWS


def test_rows_that_this_version_did_not_write_are_passed_over() -> None:
    book = QuotaBook()
    book.load([StoredWindow("b", "k", "primary", 1.0, 2.0, None, None, b"[") for _ in range(2)])
    assert book.windows() == []
