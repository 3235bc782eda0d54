"""The oracle: what the clients saw against what the database holds.

the client saw the end          exactly one record, and it says what the server did
a head came, and no end         exactly one record: proxy_crashed; or the right one, where the worker died (or the
                                connection was lost) between writing the record and handing out the last bytes
nothing came                    at most one record
no request                      no record
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw

from llm_metrics_proxy.journal.frames import segment_name
from tests.system.kinds import KINDS
from tests.system.load import Note, Seen

Row = dict[str, Any]
_COLUMNS: Final = (
    *("request_id", "outcome", "success", "status_code", "prompt_tokens", "completion_tokens", "total_tokens"),
    *("user", "origin", "response_bytes", "response_time_ms", "error_type", "error_category", "error_phase"),
)


class Verdict(NamedTuple):
    """What the comparison counted; every fault is an assertion."""

    rows: int
    whole: int
    left: int  # the record says client_disconnected
    lost: int  # the record says proxy_crashed, record_lost
    crashed: int  # a head came, and the record says proxy_crashed
    recorded_unseen: int  # a head came and no end, and the record has the right end
    refused: int  # turned away by a draining worker, without a record
    unseen: int  # nothing came
    unseen_recorded: int  # of these, with a record


class Progress(NamedTuple):
    """What is ingested: bytes of each worker's current segment, by its name, and requests that are still open."""

    offsets: dict[str, int]
    open_requests: int


def read_rows(database: Path) -> list[Row]:
    """Every record, by column name."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        found = connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM completion_requests ORDER BY arrival")
        return [dict(zip(_COLUMNS, row, strict=True)) for row in found]
    finally:
        connection.close()


def read_progress(database: Path) -> Progress:
    """How far the journal is in the database."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        positions: list[Any] = list(
            connection.execute("SELECT worker_id, segment, offset_bytes FROM journal_positions")
        )
        open_requests: list[Any] = list(connection.execute("SELECT request_id FROM open_requests"))
    finally:
        connection.close()
    offsets = {segment_name(worker, segment): offset for worker, segment, offset in positions}
    return Progress(offsets, len(open_requests))


def compare(notes: Iterable[Note], rows: Iterable[Row]) -> Verdict:
    """Hold every note against its record and every record against its note."""
    notes, rows = list(notes), list(rows)
    twice = [key for key, count in Counter(row["request_id"] for row in rows).items() if count > 1]
    assert not twice, f"{len(twice)} requests have two records, the first {twice[0]}"
    by_id = {row["request_id"]: row for row in rows}
    named = [note for note in notes if note.request_id is not None]
    assert len({note.request_id for note in named}) == len(named), "two requests were given one id"
    refused = {note.request_id for note in named if note.seen is Seen.REFUSED and note.request_id not in by_id}
    named = [note for note in named if note.request_id not in refused]
    missing = [note for note in named if note.request_id not in by_id]
    assert not missing, f"{len(missing)} of {len(named)} requests have no record, the first {missing[:3]}"
    lost = left = crashed = recorded_unseen = 0
    for note in named:
        row = by_id.pop(str(note.request_id))
        if _says(row, "proxy_crashed", "record_lost"):
            assert (row["error_category"], row["error_phase"]) == ("proxy", None), row
            lost += 1
        elif note.seen is Seen.LEFT and row["outcome"] == "client_disconnected":
            left += 1
        elif note.seen is Seen.REFUSED:
            assert _says(row, "proxy_refused", "shutdown"), f"{note} has the record {row}"
        elif note.seen is Seen.WHOLE or not _is_crash(row):
            _assert_as_expected(note, row)
            recorded_unseen += note.seen is Seen.BROKEN and KINDS[note.kind].ends
        else:
            assert (row["success"], row["error_category"], row["error_phase"]) == (0, "proxy", None), row
            crashed += 1
    unseen = [note for note in notes if note.seen is Seen.NOTHING]
    unseen_recorded = _match_unseen(unseen, list(by_id.values()))
    whole = sum(note.seen is Seen.WHOLE for note in notes)
    return Verdict(len(rows), whole, left, lost, crashed, recorded_unseen, len(refused), len(unseen), unseen_recorded)


def _is_crash(row: Row) -> bool:
    return _says(row, "proxy_crashed", "crashed")


def _says(row: Row, outcome: str, error_type: str) -> bool:
    return (row["outcome"], row["error_type"]) == (outcome, error_type)


def _assert_as_expected(note: Note, row: Row) -> None:
    expected = KINDS[note.kind].expected
    assert {name: row[name] for name in expected} == expected, f"{note} has the record {row}"
    assert row["user"].split()[0] == note.marker, f"{note} has the record {row}"
    if note.seen is Seen.WHOLE:
        assert row["response_bytes"] == note.body_bytes, f"{note} has the record {row}"


def _match_unseen(notes: list[Note], rows: list[Row]) -> int:
    """Records whose id no client knows: each belongs to another request of which no client saw anything.

    One of a worker that died knows its marker only if the head carried it; the rest can but be counted.
    """
    by_marker = {note.marker: note for note in notes}
    nameless = 0
    for row in rows:
        marker = row["user"].split()[0] if row["user"] else row["origin"]
        if marker is None:
            assert _is_crash(row), f"a record of no request: {row}"
            nameless += 1
            continue
        note = by_marker.pop(marker, None)
        assert note is not None, f"a record of no request, or a second one: {row}"
        if not _is_crash(row):
            _assert_as_expected(note, row)
    assert nameless <= len(by_marker), f"{nameless} records for {len(by_marker)} requests of which nobody saw anything"
    return len(rows)
