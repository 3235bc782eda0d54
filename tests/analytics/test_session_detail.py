"""One session: what is told of it request by request adds up to what its row says."""

from collections.abc import Iterator
from datetime import UTC, datetime
from math import fsum, isclose
from pathlib import Path
from typing import Any, Final

import pytest

from llm_metrics_proxy.analytics import session_detail as module
from llm_metrics_proxy.analytics.session_detail import cache_states, read_session
from llm_metrics_proxy.analytics.sessions import SessionsQuery, list_sessions
from llm_metrics_proxy.errors import QueryError
from tests.analytics.database import Database, a_record
from tests.browser.records import write
from tests.browser.session_records import runs

END: Final = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Database]:
    write(tmp_path / "metrics.db", runs(12, END))
    opened = Database(tmp_path)
    yield opened
    opened.close()


def test_requests_agents_models_and_time_add_up_to_the_row(day: Database) -> None:
    for row in list_sessions(day.records, SessionsQuery(), END).items:
        found = read_session(day.records, row.session_id, END)
        assert found is not None
        assert found.session == row
        assert len(found.requests) == found.counted_requests == row.requests
        for name in ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens"):
            assert sum(getattr(one, name) or 0 for one in found.requests) == getattr(row, name), name
            assert sum(getattr(node.own, name) or 0 for node in found.agents) == getattr(row, name), name
            assert sum(getattr(model.own, name) or 0 for model in found.models) == getattr(row, name), name
            assert getattr(found.agents[0].whole, name) == getattr(row, name)
        assert len(found.agents) == row.agents
        assert found.agents[0].whole.cost_usd == pytest.approx(row.cost_usd, abs=1e-8)
        time = found.time
        parts = [getattr(time, name) for name in time.__struct_fields__ if name != "total_ms"]
        assert isclose(fsum(parts), time.total_ms, rel_tol=1e-9)
        assert time.total_ms == pytest.approx(row.duration_ms, abs=0.01)
        served = sum(parts[:4])
        assert fsum(model.own.busy_ms for model in found.models) == pytest.approx(served)
        assert found.agents[0].whole.busy_ms == pytest.approx(served)


def test_requests_stand_in_their_order_page_by_page(day: Database) -> None:
    whole = read_session(day.records, "burner", END)
    assert whole is not None
    starts = [one.start_ms for one in whole.requests]
    assert starts == sorted(starts)
    assert whole.next_offset is None
    pieces, offset = [], 0
    while True:
        part = read_session(day.records, "burner", END, limit=50, offset=offset)
        assert part is not None
        assert (part.time, part.agents, part.misses) == (whole.time, whole.agents, whole.misses)
        pieces += part.requests
        if part.next_offset is None:
            break
        offset = part.next_offset
    assert pieces == whole.requests


def test_a_session_that_is_too_long_says_how_much_of_it_is_told(day: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_COUNTED", 40)
    found = read_session(day.records, "burner", END)
    assert found is not None
    assert (found.counted_requests, found.agents[0].whole.requests, len(found.requests)) == (40, 40, 40)
    assert found.session.requests > 40


def test_sessions_that_started_each_other_are_linked(day: Database) -> None:
    found = read_session(day.records, "burner", END)
    child = read_session(day.records, "burner-review", END)
    assert found is not None
    assert child is not None
    assert [row.session_id for row in found.children] == ["burner-review"]
    assert (found.parent_session_id, child.parent_session_id, child.children) == (None, "burner", [])


def test_a_parent_that_is_an_agent_of_its_own_or_no_session_is_no_link(database: Database) -> None:
    database.add(
        a_record(0, session_id="s", agent_id="a", parent_agent_id="s"),
        a_record(1, session_id="s", agent_id="b", parent_agent_id="a"),
        a_record(2, session_id="t", parent_agent_id="nobody"),
    )
    for name in ("s", "t"):
        found = read_session(database.records, name, END)
        assert found is not None
        assert (found.parent_session_id, found.children) == (None, [])


def test_there_is_none_of_another_name(database: Database) -> None:
    database.add(a_record(session_id="s"))
    assert read_session(database.records, "S", END) is None
    assert read_session(database.records, "", END) is None
    for wrong in ({"limit": 0}, {"limit": 5001}, {"offset": -1}, {"offset": 20_001}):
        with pytest.raises(QueryError, match="must be from"):
            read_session(database.records, "s", END, **wrong)


def asked(prompt: int | None, cached: int | None, reason: str | None = None, **more: Any) -> dict[str, Any]:
    known = {"agent_id": None, "model": "m", "error_category": None, **more}
    return {"prompt_tokens": prompt, "cached_tokens": cached, "cache_miss_reason": reason, **known}


@pytest.mark.parametrize(
    ("rows", "states"),
    [
        ([asked(100, 0), asked(200, 100), asked(300, 0)], ["new", "hit", "miss"]),
        ([asked(100, 0), asked(200, 49), asked(300, 150)], ["new", "miss", "hit"]),
        ([asked(9000, 0), asked(500, 0)], ["new", "new"]),  # it was shortened: nothing could be read
        ([asked(100, 0), asked(200, 0, agent_id="a"), asked(200, 0, model="n")], ["new"] * 3),
        ([asked(100, None), asked(None, None), asked(100, 50)], [None, None, "hit"]),
        ([asked(100, 0, "system_changed")], ["miss"]),
        ([asked(100, 0), asked(None, None, error_category="upstream"), asked(150, 0)], ["new", None, "miss"]),
    ],
)
def test_a_miss_is_what_could_have_been_read_and_was_not(rows: list[dict[str, Any]], states: list[str | None]) -> None:
    assert cache_states(rows) == states


def test_misses_are_counted_by_the_servers_reason(day: Database) -> None:
    found = read_session(day.records, "burner", END)
    assert found is not None
    missed = [one for one in found.requests if one.cache == "miss"]
    assert sum(one.requests for one in found.misses) == len(missed) > 3
    uncached = sum((one.prompt_tokens or 0) - (one.cached_tokens or 0) for one in missed)
    assert sum(one.uncached_tokens for one in found.misses) == uncached
    assert None in {one.reason for one in found.misses}
