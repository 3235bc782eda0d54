"""Every number of 5.1.0 is compared with DuckDB, or its inputs are: a new one without a comparison fails here.

``PROVED`` names the test of each; what DuckDB cannot know (a chance, a forecast) is proved by a test with an oracle of
its own, and says so below ``APART``.
"""

import ast
import types
import typing
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from llm_metrics_proxy.analytics.changes import Changes, MovedSegment, Movement, ShiftedPart
from llm_metrics_proxy.analytics.costs import SUMS as COST_SUMS
from llm_metrics_proxy.analytics.costs import CostProjection
from llm_metrics_proxy.analytics.measures import FIELDS, NAMED, SUMS
from llm_metrics_proxy.analytics.session_agents import SessionUse
from llm_metrics_proxy.analytics.session_detail import CacheMisses, SessionDetail, SessionRequest, read_session
from llm_metrics_proxy.analytics.session_time import TimeShares
from llm_metrics_proxy.analytics.sessions import SessionRow
from llm_metrics_proxy.quotas.outlook import Outlook
from llm_metrics_proxy.record import REGISTRY
from llm_metrics_proxy.watch.budgets import BudgetReport, BudgetStanding
from tests.analytics import duck
from tests.analytics.database import Database
from tests.analytics.test_sessions import exported
from tests.browser.records import write
from tests.browser.session_records import runs
from tests.engines.sqlite.test_records_source import METRICS

ROOT: Final = Path(__file__).parents[2]
END: Final = datetime(2026, 3, 2, 12, tzinfo=UTC)
SESSIONS: Final = "tests/analytics/test_sessions.py::test_every_sum_is_duckdbs_over_the_export"
OF_ONE: Final = "tests/analytics/test_numbers_proved.py::test_parts_of_a_session_are_what_duckdb_says"
PARTS: Final = "tests/analytics/test_session_detail.py::test_requests_agents_models_and_time_add_up_to_the_row"
MOMENTS: Final = (
    "tests/analytics/test_session_time.py::"
    "test_each_moment_is_given_to_those_open_in_equal_parts_as_a_slow_oracle_counts"
)
PLANTED: Final = "tests/analytics/test_changes.py::test_a_planted_change_of_one_model_is_found_and_named_once"
CHANGED: Final = "tests/analytics/test_changes.py::test_sums_are_those_of_duckdb_over_the_export"
ADD_UP: Final = "tests/analytics/test_changes.py::test_the_parts_of_every_movement_add_up"
BUDGETS: Final = "tests/watch/test_budgets.py::test_sums_are_those_of_duckdb_over_the_export"
MONTHS: Final = (
    "tests/analytics/test_costs.py::test_the_projection_is_what_was_spent_and_for_the_rest_the_mean_of_seven_days"
)

PROVED: Final[dict[type, dict[str, str]]] = {
    SessionRow: dict.fromkeys(
        ("agents", "duration_ms", "requests", "errors", "prompt_tokens", "completion_tokens", "total_tokens",
         "cached_tokens", "cache_hit_ratio", "cost_usd", "cost_requests"), SESSIONS,
    ) | {"cache_hit_requests": OF_ONE},
    SessionUse: dict.fromkeys(
        ("requests", "errors", "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cost_usd",
         "cost_requests"), OF_ONE,
    ),
    SessionRequest: dict.fromkeys(
        ("start_ms", "status_code", "response_time_ms", "prompt_tokens", "completion_tokens",
         "total_tokens", "cached_tokens", "cache_write_tokens", "cost_usd", "tool_call_count"), OF_ONE,
    ),
    CacheMisses: dict.fromkeys(("requests", "uncached_tokens"), OF_ONE),
    SessionDetail: {"counted_requests": OF_ONE},
    MovedSegment: dict.fromkeys(("before", "after", "n_before", "n"), CHANGED),
    Movement: dict.fromkeys(("before", "after", "n_before", "n"), CHANGED),
    CostProjection: dict.fromkeys(("cost_usd", "basis_days"), MONTHS),
    BudgetStanding: dict.fromkeys(("spent", "requests", "counted"), BUDGETS),
}  # fmt: skip
# No sums of records: what follows from numbers above, or from chance, has an oracle of its own.
APART: Final[dict[type, dict[str, str]]] = {
    SessionUse: {"busy_ms": MOMENTS},
    SessionRequest: dict.fromkeys(("waiting_ms", "first_token_ms", "generating_ms", "gap_ms"), PARTS),
    SessionDetail: {
        "next_offset": "tests/analytics/test_session_detail.py::test_requests_stand_in_their_order_page_by_page"
    },
    TimeShares: dict.fromkeys(TimeShares.__struct_fields__, MOMENTS),
    MovedSegment: dict.fromkeys(("change", "low", "high", "p", "explains"), PLANTED),
    Movement: dict.fromkeys(("change", "p", "within", "mix"), ADD_UP),
    ShiftedPart: dict.fromkeys(
        ("share_before", "share", "added"),
        "tests/analytics/test_changes.py::test_a_shift_of_traffic_is_called_that_and_no_change",
    ),
    Changes: dict.fromkeys(
        ("false_alarm_rate", "tested", "block_s"),
        "tests/analytics/test_changes.py::test_without_any_change_false_alarms_keep_to_the_stated_rate",
    )
    | dict.fromkeys(
        ("requests", "requests_before"),
        "tests/analytics/test_changes.py::test_of_a_file_it_finds_the_model_that_got_slower",
    ),
    Outlook: dict.fromkeys(
        ("burn_ratio_per_h", "runs_out_at", "left_at_reset_ratio", "early_s"),
        "tests/quotas/test_outlook.py::test_the_verdict_and_its_numbers_agree",
    ),
    BudgetStanding: dict.fromkeys(
        ("spent_ratio", "projected", "projected_ratio"),
        "tests/watch/test_budgets.py::test_who_is_about_to_spend_too_much_comes_first",
    ),
    BudgetReport: dict.fromkeys(
        ("limit", "waiting"), "tests/watch/test_budgets.py::test_trouble_is_shown_and_changes_nothing"
    ),
}

NAMES: Final = {"value", "arrival"}  # of a segment or a record, even if they are numbers


def is_number(kind: Any) -> bool:
    if kind in (int, float):
        return True
    return isinstance(kind, types.UnionType) and any(one in (int, float) for one in typing.get_args(kind))


def numbers_of(struct: type[msgspec.Struct]) -> set[str]:
    return {one.name for one in msgspec.structs.fields(struct) if one.name not in NAMES and is_number(one.type)}


@pytest.mark.parametrize("struct", sorted({*PROVED, *APART}, key=str), ids=lambda struct: struct.__name__)
def test_every_number_of_an_answer_names_the_test_that_proves_it(struct: type[msgspec.Struct]) -> None:
    compared, apart = PROVED.get(struct, {}), APART.get(struct, {})
    assert compared.keys() & apart.keys() == set()
    assert numbers_of(struct) == compared.keys() | apart.keys()


NAMED_TESTS: Final = sorted({one for table in (PROVED, APART) for row in table.values() for one in row.values()})


@pytest.mark.parametrize("named", NAMED_TESTS)
def test_the_tests_that_are_named_exist(named: str) -> None:
    path, name = named.split("::")
    source = (ROOT / path).read_text(encoding="utf-8")
    found = {one.name for one in ast.walk(ast.parse(source)) if isinstance(one, ast.FunctionDef)}
    assert name in found
    if any(named in row.values() for row in PROVED.values()):
        assert "duckdb" in source.lower()


def test_every_metric_is_among_those_that_duckdb_answers() -> None:
    assert {*NAMED, *COST_SUMS, "cost_per_session_usd"} - {*METRICS, *SUMS} == set()
    for column in FIELDS:
        assert {f"{column}.{statistic}" for statistic in ("mean", "min", "max", "sum", "count", "p50")} <= {*METRICS}
    for name in ("cache_savings_usd", "backend_busy_ms", "cache_prompt_tokens", "priced_tokens", "session_cost_usd"):
        assert name in {*duck.NUMBERS, *duck.COUNTS, *duck.READ}


def test_every_column_of_money_and_of_busy_time_is_a_field_that_is_compared() -> None:
    derived = {name for name in REGISTRY if name.endswith(("_usd", "_busy_ms"))}
    assert derived - {*FIELDS} <= {"upstream_cost_usd"}  # what the server says of itself goes into cost_usd


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Database]:
    write(tmp_path / "metrics.db", runs(8, END))
    opened = Database(tmp_path)
    yield opened
    opened.close()


USED: Final = """count(*), count(error_category), sum(prompt_tokens)::BIGINT, sum(completion_tokens)::BIGINT,
    sum(total_tokens)::BIGINT, sum(cached_tokens)::BIGINT, sum(cost_usd), count(cost_usd)"""


def used(one: SessionUse) -> list[Any]:
    return [getattr(one, name) for name in PROVED[SessionUse]]


def test_parts_of_a_session_are_what_duckdb_says(day: Database, tmp_path: Path) -> None:
    witness = exported(day, tmp_path)
    witness.execute("CREATE TABLE one AS SELECT * FROM records WHERE session_id = 'burner'")
    found = read_session(day.records, "burner", END)
    assert found is not None
    for key, ours in (
        ("model", {row.model: used(row.own) for row in found.models}),
        ("agent_id", {node.agent_id: used(node.own) for node in found.agents}),
    ):
        theirs = {name: rest for name, *rest in witness.execute(f"SELECT {key}, {USED} FROM one GROUP BY 1").fetchall()}
        assert ours.keys() == theirs.keys()
        for name, values in theirs.items():
            assert ours[name] == pytest.approx(values), (key, name)
    ((requests, both),) = witness.execute(
        "SELECT count(*), count(*) FILTER (cached_tokens IS NOT NULL AND prompt_tokens IS NOT NULL) FROM one"
    ).fetchall()
    assert (found.counted_requests, found.session.cache_hit_requests) == (requests, both)
    names = [name for name in PROVED[SessionRequest] if name != "start_ms"]
    rows = witness.execute(
        "SELECT (epoch_us(timestamp) - epoch_us(min(timestamp) OVER ())) / 1000, "
        f"{', '.join(names)} FROM one ORDER BY timestamp, request_id"
    ).fetchall()
    mine = sorted(found.requests, key=lambda one: (one.timestamp, one.request_id or ""))
    for one, (start, *values) in zip(mine, rows, strict=True):
        assert one.start_ms == pytest.approx(start)
        assert [getattr(one, name) for name in names] == pytest.approx(values)
    missed = [one.request_id for one in found.requests if one.cache == "miss"]
    reasons = witness.execute(
        "SELECT cache_miss_reason, count(*), sum(prompt_tokens - coalesce(cached_tokens, 0)) FROM one "
        "WHERE list_contains(?::VARCHAR[], request_id) GROUP BY 1",
        [missed],
    ).fetchall()
    assert {(one.reason, one.requests, one.uncached_tokens) for one in found.misses} == set(reasons)
