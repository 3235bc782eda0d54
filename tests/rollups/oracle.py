"""Roll-ups as a person would make them: record by record, in plain Python, with no code of the product's.

``expected`` goes through a table of records; ``stored`` reads what the database has, byte by byte.
"""

import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import msgspec

SECONDS = {0: 900, 1: 3600, 2: 86_400, 3: 60}
NO_TIME = -(2**40)
TEXTS = {
    (): 0, ("model",): 1, ("backend_name",): 2, ("endpoint",): 3, ("is_streaming",): 4, ("outcome",): 5,
    ("error_category", "error_type"): 6, ("status_code",): 7, ("finish_reason",): 8, ("origin",): 9,
    ("api_key_id",): 10, ("user",): 11, ("model", "is_streaming"): 12, ("model", "origin"): 13,
    ("model", "outcome"): 14, ("model", "backend_name"): 15, ("origin", "is_streaming"): 16,
    ("endpoint", "is_streaming"): 17,
    ("model", "backend_name", "backend", "outcome", "error_category", "error_type", "error_phase"): 18,
}  # fmt: skip
# grain -> levels; those in DENSE are there on dense days, or in dense quarters, alone
LEVELS: dict[int, tuple[int, ...]] = (
    dict.fromkeys((0, 1, 2, 5, 6, 7, 8), (3, 0, 1, 2))
    | dict.fromkeys((3, 4, 9, 12, 14, 17), (3, 1, 2))
    | dict.fromkeys((10, 15, 16, 18), (0, 1, 2))
    | {11: (1, 2), 13: (2,)}
)
DENSE = (
    {(grain, 1): 86_400 for grain in (*range(9, 17), 18)}
    | {(grain, 0): 86_400 for grain in (1, 2, 5, 6, 7, 8)}
    | {(grain, 0): 900 for grain in (10, 15, 16, 18)}
    | {(grain, 3): 900 for grain in LEVELS}
)
NAMES = dict(enumerate((
    "response_time_ms", "time_to_first_token_ms", "time_per_output_token_ms", "output_tokens_per_second",
    "tokens_per_second", "proxy_overhead_ms", "time_to_first_byte_ms", "time_to_first_output_ms",
    "time_to_last_token_ms", "inter_chunk_max_ms", "body_complete_ms", "connect_ms", "upstream_acquired_ms",
    "request_sent_ms", "response_headers_ms", "server_total_ms", "server_load_ms", "server_prompt_ms",
    "server_generation_ms", "retry_after_ms", "ratelimit_reset_requests_ms", "ratelimit_reset_tokens_ms",
    "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens", "cache_write_tokens",
    "request_bytes", "response_bytes", "cost_usd", "upstream_cost_usd", "cache_write_5m_tokens",
    "cache_write_1h_tokens", "quota_primary_window_ms", "quota_primary_reset_ms", "quota_secondary_window_ms",
    "quota_secondary_reset_ms", "cache_savings_usd", "backend_busy_ms", "cache_prompt_tokens", "priced_tokens",
    "estimated_cost_usd",
)))  # fmt: skip
COUNTED = {NAMES[number] for number in (*range(22, 30), 32, 33, 40, 41)}  # whole numbers
OVER = {
    "cache_prompt_tokens": ("prompt_tokens", "cached_tokens"),
    "priced_tokens": ("total_tokens", "cost_usd"),
    "estimated_cost_usd": ("cost_usd", "cost_source"),
}
BANK = 1000  # of the stored number of a grain: which 32 fields a row has
FEW = {0, 1}
MAIN = {0, 1, 2, 3, 4, 5, 22, 23, 24, 25, 26, 28, 29, 30, 38, 39, 40, 41, 42}
MOMENTS = (
    {0: set(NAMES), 4: MAIN | {9}, 12: MAIN | {9}, 18: set[int]()}
    | dict.fromkeys((5, 6, 7, 8, 14), FEW)
    | dict.fromkeys((1, 2, 3, 9, 10, 11, 13, 15, 16, 17), MAIN)
)


class Place(NamedTuple):
    """One row."""

    grain: int
    level: int
    bucket: int
    key: tuple[Any, ...]


class Told(NamedTuple):
    """What is known of a row: counts, and (n, sum, min, max) by field."""

    requests: int
    succeeded: int
    failed: int
    fields: dict[str, tuple[int, float, float, float]]


def _number(name: str, value: Any) -> float | None:
    if isinstance(value, str | bytes) or value is None or value in (float("inf"), float("-inf")):
        return None
    if name in COUNTED:
        return int(value) if value == int(value) and 0 <= value <= 2**40 else None
    return float(value)


def _value(name: str, record: Mapping[str, Any]) -> float | None:
    """Of one record; two fields are no columns: one column's value, or 0, where the other one has a value."""
    if name not in OVER:
        return _number(name, record.get(name))
    value, known = OVER[name]
    if name == "estimated_cost_usd":
        return _number(value, record[value]) if record[known] == "own_hardware" else None
    is_known = record[known] is not None if known not in COUNTED else _number(known, record[known]) is not None
    return (_number(value, record[value]) or 0) if is_known else None


def _key(column: str, value: Any) -> Any:
    """A dimension's value; other programs may have left anything in its column."""
    if column in {"is_streaming", "status_code"}:
        most = 1 if column == "is_streaming" else 999
        is_number = isinstance(value, int | float) and 0 <= value <= most
        return int(value) if is_number and value == int(value) else None
    if isinstance(value, bytes):
        return f"X'{value[:64].hex().upper()}'"
    return value if value is None or isinstance(value, str) else str(value)


class Decided(NamedTuple):
    """Which days and quarters, by their first second, are dense."""

    days: Mapping[int, bool]
    quarters: Set[int]

    def is_dense(self, moment: int | None, width: int) -> bool:
        """Whether the day or the quarter is, that has the moment."""
        if moment is None:
            return False
        begin = moment // width * width
        return self.days[begin] if width == 86_400 else begin in self.quarters


def minute_of(timestamp: Any) -> int | None:
    """The second at which its minute began."""
    try:
        if not isinstance(timestamp, str) or len(timestamp) != 27 or timestamp[10] != "T" or timestamp[26] != "Z":
            return None
        seconds = int(datetime.strptime(timestamp[:16], "%Y-%m-%dT%H:%M").replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None
    return seconds


def expected(records: Iterable[Mapping[str, Any]], decided: Decided) -> dict[Place, Told]:
    """All rows that there should be."""
    members: defaultdict[Place, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        minute = minute_of(record["timestamp"])
        for columns, grain in TEXTS.items():
            key = tuple(_key(column, record[column]) for column in ("app_version", *columns))
            for level in LEVELS[grain]:
                bucket = NO_TIME if minute is None else minute // SECONDS[level] * SECONDS[level]
                width = DENSE.get((grain, level))
                if width is not None and not decided.is_dense(minute, width):
                    continue
                members[Place(grain, level, bucket, key)].append(record)
    return {place: _told(place.grain, records) for place, records in members.items()}


def _told(grain: int, records: list[Mapping[str, Any]]) -> Told:
    fields = {}
    for number in MOMENTS[grain]:
        name = NAMES[number]
        values = [value for record in records if (value := _value(name, record)) is not None]
        if values:
            fields[name] = (len(values), sum(values), min(values), max(values))
    return Told(len(records), sum(r["success"] == 1 for r in records), sum(r["success"] == 0 for r in records), fields)


def records_in(path: Path) -> list[dict[str, Any]]:
    """Every record, by column."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        cursor = connection.execute("SELECT * FROM completion_requests ORDER BY arrival")
        names = [column[0] for column in cursor.get_description()]
        return [dict(zip(names, row, strict=True)) for row in cursor]
    except apsw.ExecutionCompleteError:
        return []
    finally:
        connection.close()


def decided(path: Path) -> Decided:
    """About each day, and about quarters: those are dense of which there are minutes."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    minutes = "SELECT bucket FROM rollups WHERE grain = 0 AND level = 3"
    try:
        days = {day: bool(dense) for day, dense in connection.execute("SELECT day, dense FROM rollup_days")}
        return Decided(days, {minute // 900 * 900 for (minute,) in connection.execute(minutes)})
    finally:
        connection.close()


def stored(path: Path) -> dict[Place, Told]:
    """All rows that there are, their banks put together."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    found: dict[Place, Told] = {}
    try:
        # the first bank comes first, and alone has counts
        for number, level, bucket, key, *counts, ones, many in connection.execute("SELECT * FROM rollups"):
            bank, grain = divmod(number, BANK)
            place = Place(grain, level, bucket, tuple(msgspec.msgpack.decode(key)))
            told = found.setdefault(place, Told(counts[0], counts[1], counts[2], {}))
            assert bank == 0 or (not any(counts) and ones + many)
            for field, value in struct.iter_unpack("<Bd", ones):
                assert field < 32
                told.fields[NAMES[32 * bank + field]] = (1, value, value, value)
            for entry in range(0, len(many), 29):
                field, n, low, high = struct.unpack("<BI8xdd", many[entry : entry + 29])
                name = NAMES[32 * bank + field]
                total = struct.unpack("<q" if name in COUNTED else "<d", many[entry + 5 : entry + 13])[0]
                told.fields[name] = (n, total, low, high)
    finally:
        connection.close()
    return found


def sketches(path: Path) -> dict[tuple[Place, str], dict[int, int]]:
    """Values by slot, of every row and field that has a sketch."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    found: defaultdict[tuple[Place, str], dict[int, int]] = defaultdict(dict)
    try:
        for number, level, bucket, key, small, large in connection.execute("SELECT * FROM rollup_sketches"):
            bank, grain = divmod(number, BANK)
            place = Place(grain, level, bucket, tuple(msgspec.msgpack.decode(key)))
            for code, count in (*struct.iter_unpack("<HB", small), *struct.iter_unpack("<HI", large)):
                slots = found[place, NAMES[32 * bank + code // 2048]]
                slots[code % 2048] = slots.get(code % 2048, 0) + count
    finally:
        connection.close()
    return dict(found)


def assert_alike(found: Mapping[Place, Told], wanted: Mapping[Place, Told]) -> None:
    """Everything exactly, but sums of fractions, whose last digits depend on the order of adding."""
    assert found.keys() == wanted.keys()
    for place, told in wanted.items():
        assert found[place][:3] == told[:3], place
        assert found[place].fields.keys() == told.fields.keys(), place
        for name, (n, total, low, high) in told.fields.items():
            got = found[place].fields[name]
            assert (got[0], got[2], got[3]) == (n, low, high), (place, name)
            if name in COUNTED:
                assert got[1] == total, (place, name)
            else:
                assert abs(got[1] - total) <= 1e-9 * max(abs(low), abs(high)) * n, (place, name)
