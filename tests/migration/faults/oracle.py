"""The judge: written without the engine, it reads what a child left and says what is wrong with it.

Every record exactly once; what was observed unchanged in value and storage class; each record wholly old or wholly
new. It looks at a copy, so that what the next start finds is what the fault left.
"""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import apsw

from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.timestamps import normalise

_RESTATED: Final = ("success", "outcome", "error_type")  # of older records, too; the others are the migrations' own
_OF_3: Final = ("error_category", "error_phase", "outcome_original", "error_type_original")
_TIMES: Final = ("time_to_first_token_ms", "time_to_first_output_ms", "time_to_last_token_ms")
_OF_4: Final = ("time_per_output_token_ms", "output_tokens_per_second", *(f"{name}_original" for name in _TIMES))
_ADDED: Final = ("timestamp_original", "recompute_reason", *_OF_3, *_OF_4)
_WRITTEN: Final = frozenset({"app_version", "tokens_per_second", "timestamp", *_RESTATED, *_TIMES, *_ADDED})
_NEW: Final = "4.0.0"
_BY_STATUS: Final[Mapping[Any, str]] = {500: "internal", 502: "bad_gateway"}

Row = Mapping[str, Any]


def rows_of(path: Path) -> dict[Any, dict[str, Any]]:
    """Every record by its id, read from a copy with the logs that belong to it."""
    look = path.parent / "look"
    shutil.rmtree(look, ignore_errors=True)
    look.mkdir()
    for suffix in ("", "-wal", "-journal"):
        side = path.with_name(path.name + suffix)
        if side.exists():
            shutil.copyfile(side, look / side.name)
    connection = apsw.Connection(str(look / path.name))
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        cursor = connection.execute("SELECT * FROM completion_requests")
        names = [name for name, *_ in cursor.get_description()] if not _is_empty(connection) else []
        rows = [_by_first_id(dict(zip(names, row, strict=True))) for row in cursor]
    finally:
        connection.close()
    found = {row["id"]: row for row in rows}
    assert len(found) == len(rows), "a record is there twice"
    return found


def _by_first_id(row: dict[str, Any]) -> dict[str, Any]:
    """A record that got an integer id by being adopted keeps the one it came with beside it."""
    return row if row.get("id_original") is None else {**row, "id": row["id_original"]}


def _is_empty(connection: apsw.Connection) -> bool:
    return not connection.execute("SELECT 1 FROM completion_requests LIMIT 1").fetchall()


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


def is_old(old: Row, now: Row) -> bool:
    """As it was before, and nothing of the migration on it."""
    return (
        all(is_same(old[name], now[name]) for name in old)
        and all(now.get(name) is None for name in (*_ADDED, "outcome") if name not in old)
        and ("app_version" in old or now.get("app_version") is None)
    )


def _follows_2_0_0(old: Row, now: Row) -> bool:
    """Rate, timestamp and origin as version 2.0.0 says, with the observed values kept."""
    rate, _reason = expected(old)
    timestamp = normalise(old["timestamp"])
    originals = [old["timestamp"]] + [None] * is_same(timestamp, old["timestamp"])
    return (
        is_same(rate, now["tokens_per_second"])
        and is_same(timestamp, now["timestamp"])
        and any(is_same(each, now["timestamp_original"]) for each in originals)
        and ("origin" in old or is_same(now["origin"], old["user"]))
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
    return _follows_2_0_0(old, now) and all(is_same(value, now[name]) for name, value in told.items())


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
        and all(is_same(value, now[name]) for name, value in told.items())
    )


def is_between(old: Row, now: Row) -> bool:
    """A whole record of version 2.0.0 or 3.0.0, and nothing of what came later: an undo goes back one by one."""
    if not all(is_same(old.get(name), now[name]) for name in (*_TIMES, *_OF_4)):
        return False
    if now["app_version"] == "3.0.0":
        return _follows_3_0_0(old, now) and now["recompute_reason"] in _reasons_of_3(old)
    return (
        now["app_version"] == "2.0.0"
        and _follows_2_0_0(old, now)
        and now["recompute_reason"] in _reasons(old)
        and all(is_same(old.get(name), now[name]) for name in (*_RESTATED, *_OF_3))
    )


def _difference(old: Row, now: Row) -> str:
    changed = [f"{name} was {old.get(name)!r} and is {now[name]!r}" for name in now if old.get(name) != now[name]]
    return "; ".join(changed) or "it is as before"


def judge(before: Mapping[Any, Row], path: Path, *, must_be: str = "", undoing: bool = False, arrived: int = 0) -> None:
    """Fail if a record is lost, doubled, changed or half changed. ``must_be`` old or new: every one is.

    ``undoing``: an undo of a finished run was on its way, so that a record may be that of the version between; but then
    no record is old while another, that both migrations took, still is new.
    ``arrived``: so many records of ``jobs.new_record`` came since, each with the version it was written with.
    """
    after = rows_of(path)
    assert set(before) <= set(after), f"lost: {sorted(set(before) - set(after))[:5]}"
    new_ids = [row.get("request_id") for key, row in after.items() if key not in before]
    assert sorted(map(str, new_ids)) == [f"new-{number:08}" for number in range(arrived)]
    kinds: set[str] = set()
    for key, old in before.items():
        now = after[key]
        for name in old.keys() - _WRITTEN:
            assert is_same(old[name], now[name]), f"record {key}: {name} was {old[name]!r} and is {now[name]!r}"
        for name in ("timestamp", *_TIMES):
            original = now.get(f"{name}_original")
            observed = now.get(name) if original is None else original
            assert is_same(observed, old.get(name)), f"record {key}: its {name} {old.get(name)!r} became {now}"
        if must_be != "old" and now.get("app_version") == _NEW and is_new(old, now):
            found = "new"
        elif must_be != "new" and is_old(old, now):
            found = "old"
        else:
            assert undoing, f"record {key} is torn: {_difference(old, now)}"
            assert is_between(old, now), f"record {key} is torn: {_difference(old, now)}"
            found = "between"
        if old.get("app_version") != "2.0.0":  # those may have been right, and one migration's alone
            kinds.add(found)
    assert not undoing or not {"old", "new"} <= kinds, "the first migration was undone before the second was"
    for key, now in after.items():
        if key not in before:
            assert (now["app_version"], now["tokens_per_second"]) == (APP_VERSION, 200.0), now
