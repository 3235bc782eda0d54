"""The same records give the same answers whatever types the columns of an adopted table are declared with."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import pytest

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.metrics_service import Priced
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.model import Ended
from llm_metrics_proxy.record import ALL_COLUMNS, COLUMNS
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.priced_facts import StoredFacts
from llm_metrics_proxy.storage.repricing import Selection, reprice
from llm_metrics_proxy.storage.repricing_undo import take_back
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from llm_metrics_proxy.storage.sqlite_schema import declared_columns
from llm_metrics_proxy.upkeep import Retention, Upkeep, Worked
from tests.analytics.database import a_record, a_row
from tests.analytics.every_question import answers, filters_of
from tests.migration.databases import content, execute, options

pytestmark = pytest.mark.grid  # `tests/storage/test_affinity.py` is the part of the inner loop

_NAMES: Final = ALL_COLUMNS[1:]
# What the public programs of 1.x and 2.x declare; the columns that they lack are added when the file is adopted.
_PUBLIC: Final = {
    "timestamp": "DATETIME DEFAULT CURRENT_TIMESTAMP", "success": "BOOLEAN NOT NULL", "status_code": "INTEGER",
    "response_time_ms": "INTEGER", "model": "TEXT", "is_streaming": "BOOLEAN", "max_tokens": "INTEGER",
    "temperature": "REAL", "top_p": "REAL", "message_count": "INTEGER", "prompt_tokens": "INTEGER",
    "completion_tokens": "INTEGER", "total_tokens": "INTEGER", "finish_reason": "TEXT",
    "time_to_first_token_ms": "INTEGER", "time_to_last_token_ms": "INTEGER", "tokens_per_second": "REAL",
    "error_type": "TEXT", "error_message": "TEXT",
}  # fmt: skip
_TYPES: Final = ("TEXT", "DATETIME", "NUM", "INTEGER", "REAL", "BLOB", "")


def _mixed(first: int) -> dict[str, str]:
    types = cycle(_TYPES[first:] + _TYPES[:first])
    return dict(zip(_NAMES, types, strict=False))


# Name -> the columns of the table, and what stands behind them.
TABLES: Final[dict[str, tuple[dict[str, str], str]]] = {
    **{type_ or "no type": (dict.fromkeys(_NAMES, type_), "") for type_ in _TYPES},
    **{f"mixed {first}": (_mixed(first), "") for first in (1, 3, 5)},
    "any case": (dict.fromkeys(_NAMES, "TEXT COLLATE NOCASE"), ""),
    "strict": (dict.fromkeys(_NAMES, "ANY"), "STRICT"),
    "first layout": ({**_PUBLIC, "user": "TEXT"}, ""),
    "1.0.0": ({**_PUBLIC, "origin": "TEXT"}, ""),
    "2.x": ({**_PUBLIC, "origin": "TEXT", "app_version": "TEXT DEFAULT '1.0.0'"}, ""),
}
KINDS: Final = [pytest.param(name, id=name.replace(" ", "_")) for name in TABLES]
# Texts that look like numbers, and some that nearly do.
_WORDS: Final = (
    "007", "7", "1e5", "1234e567", " 12 ", "0x10", "-", "inf", "", "7.0", "12345678901234567890", "9999", "llama3.1:8b",
    "LLAMA3.1:8B", "モデル 🦙",
)  # fmt: skip
_FRACTIONS: Final = (2 / 3, 0.1 + 0.2, 1500.0, 123456789.12345679, 1e-7, 1125.25, 1e15)
_COUNTS: Final = (0, 1, 10, 2**53 + 1, 2**40, 101)
_FAILED: Final[dict[str, Any]] = {
    "success": False, "outcome": "upstream_error", "error_type": "rate_limit", "status_code": 429,
    "upstream_status_code": 429, "finish_reason": None, "retry_after_ms": 1500.5, "upstream_error_code": "429",
    "upstream_error_type": "1e3",
}  # fmt: skip


def _request_id(number: int) -> str:
    """Hex digits that are all decimal, or that have one e among them, look like a number."""
    return f"{number:032d}" if number % 2 else f"1234e567{number:024d}"


def _row(number: int) -> tuple[Any, ...]:
    word, fraction = _WORDS[number % len(_WORDS)], _FRACTIONS[number % len(_FRACTIONS)]
    facts: dict[str, Any] = {
        "request_id": _request_id(number), "model": word, "response_model": word, "origin": word, "user": word,
        "backend": word, "backend_name": word or None, "user_agent": word, "endpoint": f"/v{number % 3}",
        "api_key_id": f"{number % 4}23456e{number % 4}8901", "trace_id": _request_id(number % 5),
        "parent_span_id": f"{number:016d}", "response_id": f"{number}e2", "service_tier": "1",
        "tags": f"007={number % 3}e5,team={number % 2}", "finish_reason": word, "error_message": word,
        "response_time_ms": fraction, "temperature": fraction, "upstream_cost_usd": fraction,
        "max_tokens": _COUNTS[number % len(_COUNTS)], "prompt_tokens": number * 300, "is_streaming": number % 3 > 0,
        "content_chunks": None, "time_to_first_token_ms": 100 + fraction / 10**6, "trace_sampled": number % 2 == 0,
        "cached_tokens": number % 7 or None, "request_bytes": number * 1000,
    }  # fmt: skip
    failed = number % 5 == 4
    record = a_record(number * 197.3 - 1800, **(facts | _FAILED if failed else facts))
    told = {"error_category": "limit", "error_phase": "before_first_token"} if failed else {}
    return a_row(record, cost_usd=fraction / 7 if number % 4 else None, **told)


FIRST, LATER = [_row(number) for number in range(23)], [_row(number) for number in range(23, 31)]
FILTERS: Final = filters_of(FIRST, COLUMNS[1:])
REQUEST_IDS: Final = [_request_id(number) for number in range(25)]
TAGS: Final = ("007", "team")


def _table(path: Path, columns: dict[str, str], options_: str) -> None:
    declared = ", ".join(f'"{column}" {type_}' for column, type_ in columns.items())
    execute(path, f"CREATE TABLE completion_requests (id INTEGER PRIMARY KEY AUTOINCREMENT, {declared}) {options_}")


# Of 1.x: values that every type of column gives back, for all that it may make of them in between.
_OLDER_WORDS: Final = ("7", "42", "llama3.1:8b", "LLAMA3.1:8B", "", "-", "モデル 🦙", None)
_OLDER_ERRORS: Final = (("http_error", "Backend returned 429"), ("429", "429"), ("connection_error", None), (None, "7"))
_OLDER_TIMES: Final = ("2026-03-01T11:{:02d}:07.250000", "2026-03-01 12:{:02d}:07", "2026-03-01T13:{:02d}:07+02:00")


def _older(number: int) -> dict[str, Any]:
    failed = number % 4 == 3
    kind, message = _OLDER_ERRORS[number // 4 % len(_OLDER_ERRORS)]
    streamed, duration_ms = number % 3, 150 + number * 12.5
    return {
        "timestamp": _OLDER_TIMES[number % 3].format(number), "success": int(not failed),
        "status_code": (429, 503, 200)[number % 3] if failed else 200, "response_time_ms": duration_ms,
        "model": _OLDER_WORDS[number % len(_OLDER_WORDS)], "is_streaming": (1, 0, None)[streamed],
        "max_tokens": (16, None, 4096)[number % 3], "temperature": 0.5 * (number % 3), "top_p": 1.0,
        "message_count": number, "prompt_tokens": None if failed else number * 3,
        "completion_tokens": None if failed else number * 2 + 1, "total_tokens": None if failed else number * 5 + 1,
        "finish_reason": None if failed else ("stop", "7")[number % 2],
        "time_to_first_token_ms": None if failed else duration_ms / 2 if streamed == 0 else duration_ms,
        "time_to_last_token_ms": None if failed else duration_ms, "tokens_per_second": 1234.5 + number,
        "error_type": kind if failed else None, "error_message": message if failed else None,
        "user": _OLDER_WORDS[-number % len(_OLDER_WORDS)], "origin": _OLDER_WORDS[number % 5],
        "app_version": (None, "1.0.0", "1.3.2", "2.0.0", "7")[number % 5],
    }  # fmt: skip


OLDER: Final = [_older(number) for number in range(30)]
OLDER_FILTERS: Final = filters_of([tuple(record.values()) for record in OLDER], list(OLDER[0]))


def _insert_older(path: Path) -> None:
    """As the older program would, into those of the columns that the table has."""
    there = {name for (name,) in execute(path, "SELECT name FROM pragma_table_info('completion_requests')")}
    for record in OLDER:
        values = {name: value for name, value in record.items() if name in there}
        marks, names = ", ".join("?" * len(values)), ", ".join(values)
        execute(path, f"INSERT INTO completion_requests ({names}) VALUES ({marks})", tuple(values.values()))


def _store(path: Path, rows: Sequence[tuple[Any, ...]]) -> None:
    store = SqliteStore(path)
    store.append(IngestBatch(rows=list(rows)))
    store.close()


def _asked(path: Path, step: str, chosen: Sequence[RequestFilter] = ()) -> dict[str, Any]:
    answered = answers(path, chosen, REQUEST_IDS, TAGS)
    return {f"{step}: {question}": answer for question, answer in answered.items()}


def _rolled_up(path: Path, retention: Retention = Retention()) -> list[Any]:  # noqa: B008 -- frozen
    upkeep = Upkeep(path, retention, batch_lock_ms=50, unix_s=lambda: datetime(2026, 3, 3, tzinfo=UTC).timestamp())
    while upkeep.step(leftovers=True) is not Worked.NOTHING:
        pass
    upkeep.close()
    return execute(path, "SELECT * FROM rollups ORDER BY 1, 2, 3, 4") + execute(
        path, "SELECT * FROM rollup_sketches ORDER BY 1, 2, 3, 4"
    )


def _price(facts: StoredFacts) -> Priced:
    """By all that a price depends on, so that a fact that is read otherwise shows."""
    return (sum(map(ord, repr(facts))) / 7, "price_table")


def _life(path: Path) -> dict[str, Any]:
    """A file from its first records on: what it answers at every step."""
    found: dict[str, Any] = {}
    _store(path, FIRST)
    found |= _asked(path, "first", FILTERS[:9])
    found["rolled up"] = _rolled_up(path)
    found |= _asked(path, "rolled up")
    _store(path, LATER)
    found |= _asked(path, "later", FILTERS)
    costs = _costs(path)
    found["repriced"] = reprice(path, _price, Selection("", (), "{}"), price_lists="of a test").changed
    found["new costs"] = _costs(path)
    found["taken back"] = take_back(path, 1).restored
    assert _costs(path) == costs
    found["rolled up again"] = _rolled_up(path)
    found["pruned"] = _rolled_up(path, Retention(days=1))
    found |= _asked(path, "pruned")
    return found


def _costs(path: Path) -> list[tuple[Any, ...]]:
    reader = SqliteReader(path)
    try:
        return reader.query("SELECT id, cost_usd, typeof(cost_usd), cost_source FROM completion_requests ORDER BY id")
    finally:
        reader.close()


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], dict[str, Any]]:
    return cache(lambda: _life(tmp_path_factory.mktemp("ours") / "metrics.db"))


def _differing(is_: dict[str, Any], should: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    assert is_.keys() == should.keys()
    return {name: (is_[name], should[name]) for name in should if is_[name] != should[name]}


@pytest.mark.parametrize("name", KINDS)
def test_records_of_ours_answer_every_question_as_in_our_own_table(
    tmp_path: Path, name: str, ours: Callable[[], dict[str, Any]]
) -> None:
    path = tmp_path / "metrics.db"
    _table(path, *TABLES[name])
    engine.migrate(path, options(path), migrations=MIGRATIONS)
    assert _differing(_life(path), ours()) == {}


def _migrated(path: Path) -> dict[str, Any]:
    """A file with older records: what it answers once they are migrated, and when more have come."""
    names = [name for (name,) in execute(path, "SELECT name FROM pragma_table_info('completion_requests')")]
    before = content(path, names)
    result = engine.migrate(path, options(path), migrations=MIGRATIONS)
    assert result.ended is Ended.DONE, result
    assert result.run is not None
    assert engine.verify(path, migrations=MIGRATIONS) == ()
    found: dict[str, Any] = {"gaps": result.run.gaps}
    found |= _asked(path, "migrated", OLDER_FILTERS)
    _store(path, LATER)
    found["rolled up"] = _rolled_up(path)
    found |= _asked(path, "later", [])
    assert engine.undo(path, options(path), migrations=MIGRATIONS).ended is Ended.UNDONE
    assert content(path, names, through_id=len(OLDER)) == before
    return found


@cache
def _migrated_as_ours(folder: Path, columns: tuple[str, ...]) -> dict[str, Any]:
    """Of a table that has these columns and declares them as we do."""
    path = folder / f"{len(list(folder.iterdir()))}.db"
    _table(path, {name: declared_columns()[name].replace("ANY", "") for name in columns}, "")
    _insert_older(path)
    return _migrated(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("as ours")


def _without_points(answer: Any) -> Any:
    """1.0 as 1: an original is kept with the type that it had."""
    return re.sub(r"(\d)\.0\b", r"\1", answer.decode() if isinstance(answer, bytes) else str(answer))


@pytest.mark.parametrize("name", KINDS)
def test_older_records_are_migrated_and_answer_every_question_as_with_our_types(
    tmp_path: Path, name: str, folder: Path
) -> None:
    path, (columns, options_) = tmp_path / "metrics.db", TABLES[name]
    _table(path, columns, options_)
    _insert_older(path)
    found = _migrated(path)
    should = _migrated_as_ours(folder, tuple(columns))
    assert _differing(*({key: _without_points(value) for key, value in each.items()} for each in (found, should))) == {}
