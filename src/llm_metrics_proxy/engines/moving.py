"""Moves records between a SQLite file and a store on the network, either way: resumable, exactly once, verified.

Of each host in turn, in the order of its numbers. Where it stands is kept in the file after each range, so that the
same command goes on behind it, and also fetches what has come since. Afterwards all ranges that were copied are read
from both sides and compared, column by column; how far that came is kept too.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from llm_metrics_proxy.errors import StoreError
from llm_metrics_proxy.migration.versions import is_older
from llm_metrics_proxy.record import ALL_COLUMNS
from llm_metrics_proxy.storage.moved_records import ARRIVAL, HOST, REQUEST_ID, Done, Row, Span, SqliteRecordsFile

READ_AT_ONCE: Final = 10_000  # records of all columns as Python values: about 40 MB for each side
_MOST_NAMED: Final = 5
_LOOKED_AT: Final = 1_000
Report = Callable[[bool, int, int], None]  # whether it verifies, how many records of how many


class Side(Protocol):
    """Where records are read."""

    def spans(self) -> dict[str, Span]:
        """By host."""

    def read(self, host: str, after: int, through: int, limit: int) -> list[Row]:
        """The first so many of a host, in the order of arrival."""

    def expired(self, row: Row) -> bool:
        """Whether its retention deletes that record."""


Put = Callable[[str, str, Sequence[Row], int, int], int]  # host there, host here, rows, after, through -> were there


class Moved(msgspec.Struct, kw_only=True):
    """What a run did. ``gone``: deleted from where they were since they were copied; ``expired``: deleted where they
    are now by its retention; ``differing``: neither, so that something is wrong. ``digest``: SHA-256 over the digests
    of all columns of all ranges that were compared, the same on both sides if nothing differs."""

    hosts: list[str]
    records: int = 0  # of these hosts, at the beginning
    copied: int = 0
    were_there: int = 0
    verified: int = 0
    gone: int = 0
    expired: int = 0
    differing: int = 0
    examples: list[str] = []
    digest: str = ""
    finished: bool = False
    waiting: int = 0  # records in the file's outbox, which are on their way to a store on the network


def move(
    file: SqliteRecordsFile,
    source: Side,
    target: Side,
    put: Put,
    *,
    chosen: Mapping[str, tuple[str, Span]],
    stop: threading.Event,
    report: Report,
) -> Moved:
    """Copy and verify. ``chosen``: of each host the name that it gets, and its records. ``put`` stores one range, and
    how far it has come. Raises ``StoreError``; what was copied until then stays, and the next run goes on behind it."""
    total = sum(span.records for _, span in chosen.values())
    moved = Moved(hosts=sorted(chosen), records=total)
    for host, (name, span) in chosen.items():
        if not file.done(host).copied:
            _refuse_others(source, target, host, name, span)
    for host, (name, span) in chosen.items():
        after = max(file.done(host).copied, span.first - 1)
        while after < span.last and not stop.is_set():
            rows = [renamed(row, name) for row in source.read(host, after, span.last, READ_AT_ONCE)]
            through = int(rows[-1][ARRIVAL]) if len(rows) == READ_AT_ONCE else span.last
            moved.were_there += put(host, name, rows, after, through)
            moved.copied += len(rows)
            report(False, moved.copied, total)
            after = through
    moved.copied -= moved.were_there
    if not stop.is_set():
        _verify(file, source, target, moved, chosen=chosen, stop=stop, report=report)
    moved.finished = not stop.is_set()
    moved.waiting = file.waiting()
    return moved


def refuse_older(path: Path, stamps: Mapping[str | None, int], version: str) -> None:
    """Raises if records follow older formulas than ``version``'s, the newest migration's: those of a server cannot all
    be brought to these. ``stamps``: how many records each version wrote."""
    older = {stamp: count for stamp, count in stamps.items() if is_older(stamp, version)}
    if older:
        first = sorted(older.items(), key=repr)[:_MOST_NAMED]
        named = ", ".join(f"{stamp or 'none'} {count:,}" for stamp, count in first)
        raise StoreError(
            f"{sum(older.values()):,} records of {path} follow the formulas of older versions ({named}), and ClickHouse"
            f" cannot bring them to those of {version}. Nothing was copied. Run `llm-metrics-proxy migrate run --db "
            f"{path}` first, then the same command again."
        )


def _refuse_others(source: Side, target: Side, host: str, name: str, span: Span) -> None:
    """Raises if records of somebody else have the numbers of these, before anything is copied."""
    there = {row[ARRIVAL]: row[REQUEST_ID] for row in target.read(name, span.first - 1, span.last, _LOOKED_AT)}
    if not there:
        return
    rows = source.read(host, min(there) - 1, max(there), len(there) + 1)
    wrong = [row[ARRIVAL] for row in rows if there.get(row[ARRIVAL], row[REQUEST_ID]) != row[REQUEST_ID]]
    if wrong:
        whose = f"of the host {name!r}" if name else "without a host"
        raise StoreError(
            f"There are other records {whose} with the same numbers already, {wrong[0]} the first. Nothing was copied. "
            f"Give these a name of their own: --rename {host}=NAME."
        )


def renamed(row: Row, name: str) -> Row:
    """The record under that name of its host."""
    return (*row[:HOST], name or None, *row[HOST + 1 :])


def _verify(
    file: SqliteRecordsFile,
    source: Side,
    target: Side,
    moved: Moved,
    *,
    chosen: Mapping[str, tuple[str, Span]],
    stop: threading.Event,
    report: Report,
) -> None:
    digest = hashlib.sha256()
    for host, (name, span) in chosen.items():
        done = file.done(host)
        after, is_equal = max(done.verified, span.first - 1), True
        while after < done.copied and not stop.is_set():
            rows = [renamed(row, name) for row in source.read(host, after, done.copied, READ_AT_ONCE)]
            through = int(rows[-1][ARRIVAL]) if len(rows) == READ_AT_ONCE else done.copied
            there = target.read(name, after, through, READ_AT_ONCE * 2 + 1)
            ours, theirs = digests(rows), digests(there)
            if ours == theirs:
                moved.verified += len(rows)
            else:
                is_equal = _compare(rows, there, target, moved) and is_equal
            digest.update(b"".join(ours))
            report(True, moved.verified, moved.records)
            after = through
            if is_equal:
                file.keep(host, Done(done.copied, after))
    moved.digest = digest.hexdigest()


def digests(rows: Sequence[Row]) -> list[bytes]:
    """SHA-256 of each column: values in their order, with their classes; 250 is not 250.0, nor is 0.0 the same as
    -0.0."""
    columns = zip(*rows, strict=True) if rows else [()] * len(ALL_COLUMNS)
    return [hashlib.sha256(_encoded(column)).digest() for column in columns]


_encoded: Final = msgspec.msgpack.Encoder().encode


def _compare(rows: Sequence[Row], there: Sequence[Row], target: Side, moved: Moved) -> bool:
    """Record by record, where digests differ: what was deleted on either side is no fault."""
    theirs: dict[int, Row] = {}
    faults = []
    for row in there:
        if row[ARRIVAL] in theirs:
            faults.append(f"record {row[ARRIVAL]} is there twice")
        theirs[row[ARRIVAL]] = row
    for row in rows:
        other = theirs.pop(row[ARRIVAL], None)
        if other is not None and _encoded(row) == _encoded(other):
            moved.verified += 1
        elif other is None and target.expired(row):
            moved.expired += 1
        elif other is None:
            faults.append(f"record {row[ARRIVAL]} is missing")
        else:
            names = ", ".join(
                name for name, one, two in zip(ALL_COLUMNS, row, other, strict=True) if _encoded(one) != _encoded(two)
            )
            faults.append(f"record {row[ARRIVAL]} differs in {names}")
    moved.gone += len(theirs)
    moved.differing += len(faults)
    moved.examples = [*moved.examples, *faults][:_MOST_NAMED]
    return not faults


def choose(spans: Mapping[str, Span], only: Sequence[str], names: Mapping[str, str]) -> dict[str, tuple[str, Span]]:
    """Which hosts, and what they are called there. Raises ``StoreError`` for one that is not there."""
    for host in (*only, *names):
        if host not in spans:
            known = ", ".join(repr(one) for one in sorted(spans)) or "none at all"
            raise StoreError(f"There are no records of the host {host!r}; there are {known}.")
    return {host: (names.get(host, host), spans[host]) for host in sorted(spans) if not only or host in only}
