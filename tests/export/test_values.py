from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.analytics.rows import UNFIT, items_of
from llm_metrics_proxy.export.values import fit, moment
from llm_metrics_proxy.record import REGISTRY

STORED = st.lists(
    st.one_of(
        st.none(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False),
        st.text(max_size=5),
        st.binary(max_size=3),
    ),
    min_size=1,
    max_size=6,
)
SMALL = st.lists(st.sampled_from([None, 0, 1, 2, 0.0, 1.0, "0", float("inf")]), min_size=1, max_size=4)


@given(STORED | SMALL, st.sampled_from([name for name, column in REGISTRY.items() if column.kind.holds != "any"]))
def test_a_page_at_once_reads_every_value_as_the_api_does_one_by_one(values: list[Any], name: str) -> None:
    item_of = items_of([name])
    shown = [item_of([value]) for value in values]
    fitted = fit(REGISTRY[name], values)
    assert [repr(value) for value in fitted.values] == [repr(one[name]) for one in shown]
    assert fitted.unfit == sum(UNFIT in one for one in shown)


def test_a_column_of_no_fixed_type_is_text_and_loses_nothing() -> None:
    assert fit(REGISTRY["timestamp_original"], ["a", None, 5, b"\x00", 2.5]) == (["a", None, "5", "X'00'", "2.5"], 0)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-03-01T12:00:00.000001Z", datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC)),
        ("2026-03-01T13:00:00+01:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-13-45", None),
        ("12", None),
        (None, None),
    ],
)
def test_a_moment_is_read_where_there_is_one(text: str | None, read: datetime | None) -> None:
    assert moment(text) == read
