"""The judge: written without the engine, it reads what a child left and says what is wrong with it.

Every record exactly once; the table from before unchanged in value and storage class, whatever its name is at the
moment; each record that was carried over as the newest version has it. It looks at a copy, so that what the next start
finds is what the fault left.
"""

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw

from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.timestamps import normalise
from llm_metrics_proxy.safe_migrations import MIGRATIONS

_RESTATED: Final = ("success", "outcome", "error_type")  # of older records, too; the others are the migrations' own
_OF_3: Final = ("error_category", "error_phase", "outcome_original", "error_type_original")
_TIMES: Final = ("time_to_first_token_ms", "time_to_first_output_ms", "time_to_last_token_ms")
_OF_4: Final = ("time_per_output_token_ms", "output_tokens_per_second", *(f"{name}_original" for name in _TIMES))
_ADDED: Final = ("timestamp_original", "recompute_reason", *_OF_3, *_OF_4)
_WRITTEN: Final = frozenset(
    {"id", "app_version", "tokens_per_second", "timestamp", "unfit_values", *_RESTATED, *_TIMES, *_ADDED}
)
_NEW: Final = MIGRATIONS[-1].version
_BY_STATUS: Final[Mapping[Any, str]] = {500: "internal", 502: "bad_gateway"}
_ARRIVED: Final = "2026-11-01T00:00:00.000000Z"  # the time of each record of ``jobs.new_record``
_BESIDE: Final = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'completion_requests_before_*'"

Row = Mapping[str, Any]


class Seen(NamedTuple):
    """``now``: what is in ``completion_requests``; ``aside``: in the table that was set aside, if there is one."""

    now: dict[int, dict[str, Any]]
    aside: dict[int, dict[str, Any]] | None


def look(path: Path) -> Seen:
    """Every record by its number, read from a copy with the logs that belong to it."""
    folder = path.parent / "look"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for suffix in ("", "-wal", "-journal"):
        side = path.with_name(path.name + suffix)
        if side.exists():
            shutil.copyfile(side, folder / side.name)
    connection = apsw.Connection(str(folder / path.name))
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        beside = [str(name) for (name,) in connection.execute(_BESIDE)]
        assert len(beside) <= 1, "two tables from before"
        return Seen(_rows(connection, "completion_requests"), _rows(connection, beside[0]) if beside else None)
    finally:
        connection.close()


def _rows(connection: apsw.Connection, table: str) -> dict[int, dict[str, Any]]:
    names = [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    quoted = ", ".join('"' + str(name).replace('"', '""') + '"' for name in names)
    rows = connection.execute(f"SELECT rowid, {quoted} FROM {table}")
    return {number: dict(zip(names, row, strict=True)) for number, *row in rows}


def rows_of(path: Path) -> dict[int, dict[str, Any]]:
    """Every record of ``completion_requests`` by its number."""
    return look(path).now


def is_same(one: Any, other: Any) -> bool:
    """Value and storage class; 0.0 and -0.0 are different, 1 and 1.0 too."""
    if type(one) is not type(other):
        return False
    return repr(one) == repr(other) if isinstance(one, float) else bool(one == other)


def expected(old: Row) -> tuple[float | None, str | None]:
    """Rate and reason by the rule of 2.0.0: total_tokens * 1000 / response_time_ms."""
    tokens, duration_ms = old["total_tokens"], old["response_time_ms"]
    if tokens is None:
        return None, "no_total_tokens"
    if duration_ms is None:
        return None, "no_response_time"
    if isinstance(tokens, str | bytes) or isinstance(duration_ms, str | bytes):
        return None, "not_a_number"
    if tokens <= 0 or duration_ms <= 0:
        return None, "not_positive"
    if math.isinf(duration_ms) or math.isinf(tokens * 1000.0 / duration_ms):
        return None, "not_finite"
    return tokens * 1000.0 / duration_ms, None


def ended(old: Row) -> tuple[str, str | None, str | None, str | None, str | None]:
    """Outcome, category, type, phase and reason by the taxonomy of 3.0.0, as far as the templates' records need it."""
    success, status, message = old.get("success"), old.get("status_code"), old.get("error_message")
    is_error = isinstance(status, int) and status >= 400
    if success != 0 if isinstance(success, int | float) else isinstance(status, int) and 200 <= status < 400:
        return "completed", None, None, None, None
    if isinstance(message, str) and "connection refused" in message:
        return "network_error", "network", "connect_refused", "connect", None
    had_token = isinstance(old.get("time_to_first_token_ms"), int | float)
    phase = "mid_stream" if had_token else "before_first_token"
    if is_error:
        return "upstream_error", "upstream", _BY_STATUS[status], phase, None
    says_why = isinstance(message, str) or isinstance(old.get("error_type"), str)
    reason = "error_not_recognised" if says_why else "error_without_words"
    return "upstream_error", "unknown", "unknown", phase, reason


def fits(name: str, old: Row, now: Row) -> bool:
    """As it was, in the storage class of its column; or NULL, and named among what did not fit."""
    value, is_now = old.get(name), now[name]
    if isinstance(value, int | float) and isinstance(is_now, int | float):
        return type(is_now)(value) == is_now
    return is_same(value, is_now) or (is_now is None and name in json.loads(now["unfit_values"] or "{}"))


def _same_number(one: Any, other: Any) -> bool:
    return is_same(one, other) or (isinstance(one, int | float) and isinstance(other, int | float) and one == other)


def _follows_2_0_0(old: Row, now: Row) -> bool:
    """Rate, timestamp and origin as version 2.0.0 says, with the observed values kept."""
    rate, _reason = expected(old)
    timestamp = normalise(old["timestamp"])
    originals = [old["timestamp"]] + [None] * is_same(timestamp, old["timestamp"])
    return (
        is_same(rate, now["tokens_per_second"])
        and (
            is_same(timestamp, now["timestamp"])
            or fits("timestamp", old, now)
            or (now["timestamp"] is None and is_same(old["timestamp"], now["timestamp_original"]))  # no time at all
        )
        and any(is_same(each, now["timestamp_original"]) for each in originals)
        and ("origin" in old or fits("origin", {"origin": old["user"]}, now))
    )


def _reasons(old: Row) -> set[str | None]:
    """Of version 2.0.0: a record that was right before has none, since it was not recomputed."""
    _rate, reason = expected(old)
    return {reason, None} if old.get("app_version") == "2.0.0" else {reason}


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) else None


def came(old: Row) -> tuple[dict[str, Any], str | None]:
    """Times, speed and reason by 4.0.0, as columns; no record of the templates has ``content_chunks``."""
    first, last, tokens = (_number(old.get(name)) for name in (_TIMES[0], _TIMES[2], "completion_tokens"))
    flag, response_ms = old.get("is_streaming"), _number(old.get("response_time_ms"))
    says = isinstance(flag, int | float) and flag in (0, 1)
    in_time = first is not None and (response_ms is None or first < response_ms)
    streamed = bool(flag) if says else in_time or first is None
    told: dict[str, Any] = dict.fromkeys(_OF_4)
    for name in _TIMES:
        told[name] = old.get(name) if streamed else None
        told[f"{name}_original"] = None if streamed else old.get(name)
    if not streamed or not (says or in_time):
        return told, None
    if tokens is None:
        return told, "no_completion_tokens"
    if tokens < 2:
        return told, None
    if first is None or last is None:
        return told, "no_token_times"
    if first < 0 or not last - first > 0:
        return told, "no_time_between_tokens"
    per_second = float(tokens - 1) * 1000.0 / (last * 1.0 - first)
    if math.isinf(last) or math.isinf(per_second):
        return told, "speed_not_finite"
    told["time_per_output_token_ms"] = (last * 1.0 - first) / float(tokens - 1)
    told["output_tokens_per_second"] = per_second
    return told, None


def _follows_3_0_0(old: Row, now: Row) -> bool:
    """Rate and timestamp as before, and how it ended as version 3.0.0 says."""
    outcome, category, kind, phase, _unclear = ended(old)
    success = int(outcome == "completed") if old.get("success") is None else old["success"]
    told = {"outcome": outcome, "success": success, "error_category": category, "error_type": kind}
    told |= {"error_phase": phase}
    for name in ("outcome", "error_type"):
        told[f"{name}_original"] = None if old.get(name) in {None, told[name]} else old[name]
    return _follows_2_0_0(old, now) and all(
        _same_number(value, now[name]) or fits(name, told, now) for name, value in told.items()
    )


def _reasons_of_3(old: Row) -> set[str | None]:
    unclear = ended(old)[-1]
    return {unclear} if unclear else _reasons(old)


def is_new(old: Row, now: Row) -> bool:
    """As versions 2.0.0, 3.0.0 and 4.0.0 say, all of it."""
    told, owed = came(old)
    reasons = {owed} if owed and ended(old)[0] == "completed" else _reasons_of_3(old)
    return (
        now["app_version"] == _NEW
        and _follows_3_0_0(old, now)
        and now["recompute_reason"] in reasons
        and all(
            is_same(value, now[name])
            if name.endswith("_original")
            else _same_number(value, now[name]) or fits(name, told, now)
            for name, value in told.items()
        )
    )


def _difference(old: Row, now: Row) -> str:
    changed = [f"{name} was {old.get(name)!r} and is {now[name]!r}" for name in now if old.get(name) != now[name]]
    return "; ".join(changed) or "it is as before"


def judge(before: Mapping[int, Row], path: Path, *, must_be: str = "", arrived: int = 0) -> None:
    """Fail if a record is lost, doubled, changed or half changed.

    ``must_be`` old: nothing has been carried over, or all of it went again; new: all of it has been.
    ``arrived``: so many records of ``jobs.new_record`` came since, each with the version it was written with.
    """
    now, aside = look(path)
    older = now if aside is None else aside
    assert set(before) <= set(older), f"lost: {sorted(set(before) - set(older))[:5]}"
    for number, old in before.items():
        for name, value in older[number].items():
            assert is_same(old.get(name), value), f"record {number}: {name} was {old.get(name)!r} and is {value!r}"
    put = [row for number, row in older.items() if number not in before]
    assert all(row["timestamp"] == _ARRIVED for row in put), "the old table has a record that nobody put there"
    if aside is None:
        assert must_be != "new", "nothing has been carried over"
        assert len(put) == arrived, f"{len(put)} newer records came along, of {arrived}"
        return
    carried = {number for number in now if number in before}
    assert must_be != "new" or carried == set(before), f"not carried over: {sorted(set(before) - carried)[:5]}"
    assert must_be != "old" or not carried, f"carried over: {sorted(carried)[:5]}"
    for number in carried:
        old, row = before[number], now[number]
        for name in old.keys() & row.keys() - _WRITTEN:
            assert fits(name, old, row), f"record {number}: {name} was {old[name]!r} and is {row[name]!r}"
        assert is_new(old, row), f"record {number} is torn: {_difference(old, row)}"
    new = {number: row for number, row in now.items() if number not in before}
    ids = [str(row["request_id"]) for row in new.values()]
    # what came into a table of ours before it was set aside is history too, and is carried over like all of it
    waiting = [str(row["request_id"]) for number, row in aside.items() if number not in before and number not in now]
    assert sorted(ids + waiting) == [f"new-{n:08}" for n in range(arrived)]
    assert must_be != "new" or not waiting, f"not carried over: {waiting[:5]}"
    assert min(new, default=0) > max(before, default=0) or not new, "a newer record has an older number"
    for row in new.values():
        assert (row["app_version"], row["tokens_per_second"]) == (APP_VERSION, 200.0), row
