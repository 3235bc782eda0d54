"""Summaries, errors, live sums and good hours of records of our own give the values that 4.5.0 gave.

``fixed_answers.json`` was written by 4.5.0, whose records without a readable time had an empty one.
``python -m tests.analytics.test_fixed_answers`` writes what this program answers.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

import apsw
import msgspec
import pytest

from llm_metrics_proxy.analytics import ErrorsQuery, Records, RequestFilter, read_errors, summarise
from llm_metrics_proxy.analytics.arrivals import ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.good_hours import GoodCount, GoodHours
from llm_metrics_proxy.analytics.live import arrived
from llm_metrics_proxy.analytics.slos import parse_slo
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.engines.sqlite import rollup_range
from llm_metrics_proxy.rollups.state import FINGERPRINT, RollupState
from llm_metrics_proxy.storage import rollup_store
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.retention import prune_some
from llm_metrics_proxy.storage.rollup_state import read_state, write_state
from llm_metrics_proxy.storage.rollup_store import add, gather
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from llm_metrics_proxy.wire.error_types import FIRST as FIRST_TYPES
from llm_metrics_proxy.wire.error_types import PHASES, TAXONOMY
from tests.rollups.records import FIRST, a_row_of, changed

PINNED: Final = Path(__file__).with_name("fixed_answers.json")
# What other releases word or date otherwise, and what is counted over all tests.
CHANGING: Final = frozenset(
    {"app_version", "older_records", "meaning", "advice", "filter", "request_id", "retry", "host", "history"}
)
COLUMNS: Final = ("response_time_ms", "connect_ms", "tokens_per_second")
_HOUR: Final = timedelta(hours=1)
_RANGE: Final[dict[str, Any]] = {"start": FIRST + timedelta(minutes=17), "end": FIRST + 41 * _HOUR}
SELECTIONS: Final[dict[str, RequestFilter]] = {
    "everything": RequestFilter(),
    "a range": RequestFilter(**_RANGE),
    "from a day on": RequestFilter(start=datetime(2026, 3, 29, tzinfo=UTC)),
    "until a day": RequestFilter(end=datetime(2026, 3, 30, tzinfo=UTC)),
    "a model": RequestFilter(model="gpt-4o"),
    "streams of a backend": RequestFilter(streaming=True, backend_name="a", **_RANGE),
    "failures": RequestFilter(success=False),
    "an agent": RequestFilter(user_agent="curl", start=FIRST + 5 * _HOUR),
    "nobody": RequestFilter(model="nobody"),
}
KNOWN: Final = [each for each in TAXONOMY if each.since == FIRST_TYPES]  # then
SLOS: Final = (parse_slo("response_time_ms<2500"), parse_slo("time_to_first_token_ms<=250"))


def a_traffic(random: Random, count: int, hours: tuple[float, ...]) -> Iterator[tuple[Any, ...]]:
    """Rows of which a third are errors; some have times and values that nobody can read."""
    for _ in range(count):
        row = changed(
            a_row_of(random, hours=random.choice(hours)),
            user_agent=random.choice(("curl", "httpx", None)),
            tags=random.choice((None, "team=a", "x=1,team=b")),
        )
        wrong = random.choice(KNOWN[::9])
        if random.random() < 0.33:
            row = changed(
                row, success=random.random() < 0.1, outcome="upstream_error", error_category=wrong.category,
                error_type=wrong.type, error_phase=random.choice((None, *PHASES)),
                backend=random.choice((None, "h:1", "h:2")), retry_after_ms=random.choice((None, None, 1500.0)),
            )  # fmt: skip
        yield row


def stored(path: Path, rows: list[tuple[Any, ...]]) -> None:
    store = SqliteStore(path)
    store.append(IngestBatch(rows=rows))
    store.close()


def rolled_up(path: Path, rows: list[tuple[Any, ...]], records: int, prune_before: datetime | None = None) -> None:
    stored(path, rows)
    connection = apsw.Connection(str(path))
    write_state(connection, RollupState(tables=FINGERPRINT))
    with pytest.MonkeyPatch.context() as patch, connection:
        patch.setattr(rollup_store, "DENSE_DAY", 300)
        patch.setattr(rollup_store, "DENSE_QUARTER", 20)
        assert add(connection, gather(connection, read_state(connection), records))
        if prune_before is not None:
            assert prune_some(connection, int(prune_before.timestamp()), 10_000)
    connection.close()


def _short(path: Path) -> None:
    stored(path, list(a_traffic(Random(3), 300, (0.2, 1))))


def _long(path: Path) -> None:
    stored(path, list(a_traffic(Random(4), 900, (2, 40, 24 * 80))))


def _rolled_up(path: Path) -> None:
    rows = list(a_traffic(Random(5), 1200, (2, 20, 75)))
    rolled_up(path, rows, len(rows) - 100)


def _pruned(path: Path) -> None:
    rows = list(a_traffic(Random(6), 800, (2, 20, 75)))
    rolled_up(path, rows, len(rows), datetime(2026, 3, 30, tzinfo=UTC))


MADE: Final[dict[str, Callable[[Path], None]]] = {
    "short": _short,
    "long": _long,
    "rolled up": _rolled_up,
    "pruned": _pruned,
}


def _fixed(answer: Any) -> Any:
    """Without what changes, and short: of columns three, of buckets those with records, of rows the values."""
    if isinstance(answer, list):
        return [[*_fixed(one).values()] if isinstance(one, dict) else one for one in answer]
    if not isinstance(answer, dict):
        return answer
    found = {name: _fixed(value) for name, value in answer.items() if name not in CHANGING}
    if "distributions" in found:
        found["distributions"] = {name: found["distributions"][name] for name in COLUMNS}
    if "buckets" in found:
        found["bucket_count"], found["buckets"] = len(found["buckets"]), [one for one in found["buckets"] if one[2]]
    return found


def _good(records: Records) -> list[GoodCount]:
    hours = GoodHours(records)
    ends = [FIRST + 22 * _HOUR + timedelta(minutes=minutes) for minutes in (0, 1, 90, 60, -30, 3000, 59)]
    windows = (timedelta(minutes=30), 5 * _HOUR, timedelta(days=1, microseconds=7))
    asked = [RequestFilter(start=end - window, end=end, model="gpt-4o") for end in ends for window in windows]
    return [hours.measure(selection, slos) for selection in asked for slos in (SLOS, ())]


def answers(name: str) -> dict[str, Any]:
    """Every fixed answer about one file, by what was asked."""
    found: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.db"
        MADE[name](path)
        reader = SqliteReader(path)
        records, within = open_records(reader), ArrivalRange(Arrivals.of_one_host(7), Arrivals.of_one_host(190))
        for words, selection in SELECTIONS.items():
            found[f"summary of {words}"] = summarise(records, selection)
            found[f"errors of {words}"] = read_errors(records, ErrorsQuery(filter=selection, examples=1))
            sums = arrived(records, selection, within, 0).sums
            found[f"arrivals of {words}"] = {**sums._asdict(), "tokens": dict(sums.tokens)}
        found["good hours"] = _good(records)
        reader.close()
    plain = msgspec.json.decode(msgspec.json.encode(found))
    return {name: _fixed(answer) for name, answer in plain.items()}


def differences(found: Any, wanted: Any, place: str = "") -> Iterator[str]:
    """What is not as it was; a column that came later may be there too."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name, value in wanted.items():
            yield from differences(found.get(name), value, f"{place}/{name}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (one, other) in enumerate(zip(found, wanted, strict=True)):
            yield from differences(one, other, f"{place}/{index}")
    elif isinstance(wanted, float) and isinstance(found, int | float):
        if abs(found - wanted) > 1e-9 * abs(wanted):
            yield f"{place}: {found} and not {wanted}"
    elif found != wanted:
        yield f"{place}: {found} and not {wanted}"


@pytest.mark.parametrize("name", MADE)
def test_every_value_is_what_it_was(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup_range, "FEW_RECORDS", 0)
    assert list(differences(answers(name), json.loads(PINNED.read_text())[name])) == []


if __name__ == "__main__":
    pytest.MonkeyPatch().setattr(rollup_range, "FEW_RECORDS", 0)
    text = json.dumps({name: answers(name) for name in MADE}, sort_keys=True, separators=(",", ":"))
    PINNED.write_text(text.replace('"errors of', '\n"errors of').replace('"summary of', '\n"summary of') + "\n")
