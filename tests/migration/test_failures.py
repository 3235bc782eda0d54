"""SQL, oracle, formula and an independent list agree on any older record, odd values of other programs included."""

from collections.abc import Iterator
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.migration import failures
from llm_metrics_proxy.record import ALL_COLUMNS
from llm_metrics_proxy.safe_migrations import migrate_to_version_3_0_0
from llm_metrics_proxy.wire import error_clues, error_taxonomy, error_types
from llm_metrics_proxy.wire.error_taxonomy import OutcomeFacts, classify, taxonomy_of
from llm_metrics_proxy.wire.error_types import TAXONOMY, ErrorType
from tests.examples import examples
from tests.migration.failures_independently import oracle as independently
from tests.wire.test_error_taxonomy import facts

OURS = migrate_to_version_3_0_0()
_COLUMNS = ", ".join(failures.INPUTS)
_odd = st.none() | st.sampled_from(
    [b"completed", b"\xff", 0, 1, 3.5, 404, 2**62, -1, "", "a\0timeout", "TIMEOUT", "\u017f"]
)


@pytest.fixture(scope="module")
def table() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute(f"CREATE TABLE completion_requests ({_COLUMNS})")
    yield connection
    connection.close()


def _by_sql(table: apsw.Connection, values: tuple[Any, ...]) -> tuple[Any, ...]:
    table.execute("DELETE FROM completion_requests")
    table.execute(f"INSERT INTO completion_requests VALUES ({', '.join('?' * len(values))})", values)
    wanted = [*(change.expression for change in OURS.changes), OURS.reason_expression]
    values_sql = ", ".join(map(OURS.evaluated, wanted))
    rows: list[tuple[Any, ...]] = table.execute(f"SELECT {values_sql} FROM completion_requests").fetchall()
    return rows[0]


@examples(400)
@given(facts)
def test_sql_oracle_and_formula_agree(table: apsw.Connection, given_facts: OutcomeFacts) -> None:
    values = (*given_facts, None, None, None)
    verdict = classify(given_facts, taxonomy_of("3.0.0"))
    expected = OURS.oracle(*values)
    assert _by_sql(table, values) == expected == independently(*values)
    assert (expected[0], *expected[2:5], expected[-1]) == tuple(verdict)


@examples(400)
@given(facts, st.dictionaries(st.sampled_from(failures.INPUTS), _odd, max_size=4))
def test_values_of_the_wrong_type_count_as_missing_in_both(
    table: apsw.Connection, given_facts: OutcomeFacts, odd: dict[str, Any]
) -> None:
    row = {**given_facts._asdict(), "outcome_original": None, "error_type_original": "x", "recompute_reason": "r"}
    values = tuple({**row, **odd}[name] for name in failures.INPUTS)
    assert _by_sql(table, values) == OURS.oracle(*values) == independently(*values)


_TABLES = [
    *((error_clues, name) for name in ("VAGUE", "LEGACY", "STATUSES")),
    (error_types, "TAXONOMY"),
    *((error_taxonomy, name) for name in ("CLUES", "OUTCOME_OF", "DEFAULTS", "CONNECTING", "IMPLIED")),
]


@pytest.mark.parametrize(("module", "table_name"), _TABLES, ids=[name for _module, name in _TABLES])
def test_an_edit_of_the_tables_is_an_edit_of_the_migration(
    module: ModuleType, table_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it is seen once 3.0.0 is frozen: another version needs rows of its own."""
    table = getattr(module, table_name)
    less = dict(list(table.items())[:-1]) if isinstance(table, dict) else type(table)(list(table)[1:])
    monkeypatch.setattr(module, table_name, less)
    if table_name in vars(error_taxonomy):
        monkeypatch.setattr(error_taxonomy, table_name, less)
    monkeypatch.setattr(error_taxonomy, "_taxonomy", error_taxonomy._taxonomy.__wrapped__)
    edited = _executed_again(failures).shared_expressions("3.0.0")
    assert edited != OURS.shared
    assert OURS._replace(shared=edited).checksum != OURS.checksum


def test_a_row_of_a_later_version_is_no_edit_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    later = ErrorType("policy", "odd_tongue", "It speaks so.", "Teach it.", since="98.7.6", words=("tongue",),
                      texts=("in tongues",), finish_reasons=("tongue",))  # fmt: skip
    monkeypatch.setattr(error_taxonomy, "TAXONOMY", (TAXONOMY[0], later, *TAXONOMY[1:]))
    assert failures.shared_expressions("3.0.0") == OURS.shared
    newer = failures.shared_expressions("98.7.6")
    assert newer != OURS.shared
    assert "tongue" in newer.sql


def _executed_again(module: ModuleType) -> Any:
    spec = find_spec(module.__name__)
    assert spec is not None
    assert spec.loader is not None
    edited = module_from_spec(spec)
    spec.loader.exec_module(edited)
    return edited


def test_its_names_hide_no_column_from_the_sql_that_uses_them() -> None:
    given = failures.shared_expressions("3.0.0")
    names = {name for layer in given.layers for name, _expression in layer}
    assert names.isdisjoint(ALL_COLUMNS)
    assert {name for name, _plain in given.seen} <= names
