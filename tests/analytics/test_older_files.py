"""Files of older versions that nobody migrated: what they lack is missing, and filters by it match nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from llm_metrics_proxy.analytics import ErrorsQuery, RequestFilter, list_requests, older_records, read_errors, summarise
from llm_metrics_proxy.analytics.rollup_source import RollupSource
from llm_metrics_proxy.analytics.slowest import slowest
from llm_metrics_proxy.analytics.source import Needs, QueryPlan
from llm_metrics_proxy.cli.requests import arriving
from llm_metrics_proxy.export.pages import Bounds, pages
from llm_metrics_proxy.record import ALL_COLUMNS
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore


class _NobodyCameError(Exception):
    """Instead of waiting for ever."""


def arrived(reader: SqliteReader, chosen: RequestFilter) -> list[dict[str, Any]]:
    """What ``requests --follow`` shows without waiting."""

    def pause(_: float) -> None:
        raise _NobodyCameError

    try:
        return next(arriving(reader, chosen, -1, pause=pause))
    except _NobodyCameError:
        return []


_FOLDER: Final = Path(__file__).parents[1] / "fixtures" / "databases"
FILES: Final = sorted(path.name for path in _FOLDER.glob("*.db"))
ASKED: Final[dict[str, Callable[[SqliteReader, RequestFilter], Any]]] = {
    "requests": lambda reader, chosen: list_requests(reader, chosen).items,
    "followed": arrived,
    "slowest": lambda reader, chosen: slowest(reader, chosen, 10),
    "summary": lambda reader, chosen: summarise(reader, chosen).requests,
    "errors": lambda reader, chosen: read_errors(reader, ErrorsQuery(filter=chosen)).requests,
    "older records": lambda reader, chosen: sum(older_records(reader, chosen).values()),
    "export": lambda reader, chosen: [
        row for page in pages(reader, chosen, ALL_COLUMNS, Bounds(-(2**62), 2**62)) for row in page.rows
    ],
}
ALL: Final = RequestFilter()
# By columns that not every file has, and values that none has.
NOBODY: Final = [
    msgspec.convert({name: "none"}, RequestFilter)
    for name in ("backend_name", "user", "user_agent", "api_key_id", "trace_id", "origin")
] + [RequestFilter(tag="no=body")]


@pytest.fixture(params=FILES)
def reader(request: pytest.FixtureRequest) -> Iterator[SqliteReader]:
    reader = SqliteReader(_FOLDER / request.param)
    yield reader
    reader.close()


@pytest.mark.parametrize("what", ASKED)
def test_they_answer_and_a_filter_by_what_they_lack_matches_nothing(reader: SqliteReader, what: str) -> None:
    ask = ASKED[what]
    assert ask(reader, ALL) or what == "older records"
    assert not any(ask(reader, chosen) for chosen in NOBODY)


def test_their_roll_ups_answer_once_they_have_the_columns_that_came_since(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    path.write_bytes((_FOLDER / "4.3.0.db").read_bytes())
    plan = QueryPlan(filter=ALL, needs=Needs(moments=frozenset({"total_tokens", "cache_write_5m_tokens"})))
    reader = SqliteReader(path)
    assert not RollupSource(reader).can_answer(plan)
    SqliteStore(path).close()
    assert RollupSource(reader).can_answer(plan)
    ((_, found),) = RollupSource(reader).read([plan])[0].groups
    assert found.moments("total_tokens").n > 0
    assert found.moments("cache_write_5m_tokens").n == 0
    reader.close()
