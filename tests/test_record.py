"""The registry of columns: each row fits the field that it annotates, and no two rows contradict each other."""

from types import NoneType
from typing import get_args, get_type_hints

import pytest

from llm_metrics_proxy.columns import LAST, Column
from llm_metrics_proxy.record import (
    ALL_COLUMNS,
    COLUMNS,
    KEPT,
    KEY_COLUMNS,
    RAW_COLUMNS,
    REGISTRY,
    ROW_COLUMNS,
    RequestRecord,
)
from tests.messages import messages

TYPES: dict[str, type] = {"integer": int, "number": float, "flag": bool, "text": str, "time": str}


@pytest.mark.parametrize("name", RAW_COLUMNS)
def test_a_row_is_of_the_kind_that_its_field_holds(name: str) -> None:
    hint = get_type_hints(RequestRecord)[name]
    (value_type,) = (each for each in get_args(hint) or (hint,) if each is not NoneType)
    assert TYPES[REGISTRY[name].kind.holds] is value_type


@pytest.mark.parametrize("column", REGISTRY.values(), ids=lambda column: column.name)
def test_a_name_says_the_unit(column: Column) -> None:
    units = {"_ms": "ms", "_usd": "USD", "_bytes": "bytes", "_per_second": "tokens/s"}
    assert column.meaning
    assert column.unit == next((unit for end, unit in units.items() if column.name.endswith(end)), column.unit)
    if column.unit not in ("", "tokens"):
        assert column.name.endswith(tuple(units))


def test_columns_come_in_the_order_of_the_table() -> None:
    assert (*KEY_COLUMNS, *ROW_COLUMNS) == COLUMNS
    assert KEY_COLUMNS == ("arrival", "host")
    assert ROW_COLUMNS[: len(RAW_COLUMNS)] == RAW_COLUMNS
    assert (*COLUMNS, *(column.name for column in KEPT)) == ALL_COLUMNS


def test_no_name_and_no_place_is_given_twice() -> None:
    rows = list(REGISTRY.values())
    for names in (
        [column.filter_name for column in rows if column.filter],
        [column.group_name for column in rows if column.group],
        [column.rolled_up.number for column in rows if column.rolled_up],
        [column.place for column in rows if column.place != LAST],
        [column.shown.place for column in rows if column.shown and column.shown.place != LAST],
    ):
        assert len(names) == len(set(names))


def test_what_the_dashboard_calls_a_column_is_one_of_its_messages() -> None:
    assert {column.label for column in REGISTRY.values() if column.label} <= messages().keys()
