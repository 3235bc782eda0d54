from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.rollups.columns import Columns, chosen, joined, of_rows, seconds_of
from llm_metrics_proxy.rollups.grains import NO_TIME


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))
def test_the_minute_is_that_of_the_calendar(moment: datetime) -> None:
    seconds = round((moment.replace(second=0, microsecond=0) - datetime(1970, 1, 1)).total_seconds())
    assert seconds_of(moment.isoformat()[:16]) == seconds // 60 * 60


@pytest.mark.parametrize(
    "minute",
    [None, "2026-02-29T10:00", "2026-13-01T10:00", "2026-00-10T10:00", "2026-04-31T10:00", "2026-04-30T24:00",
     "2026-04-30T23:60", "0000-01-01T00:00", "2100-02-29T00:00"],
)  # fmt: skip
def test_what_is_no_time_has_a_place_of_its_own(minute: str | None) -> None:
    assert seconds_of(minute) == NO_TIME


def test_the_29th_of_february_is_there_in_leap_years() -> None:
    assert seconds_of("2024-02-29T00:07") == int(datetime(2024, 2, 29, 0, 7, tzinfo=UTC).timestamp())
    assert seconds_of("2000-02-29T00:00") != NO_TIME


def test_rows_become_arrays_and_missing_values_stay_missing() -> None:
    rows = [("2026-03-01T12:20", 1, "a", 5.0, None), (None, -1, None, None, None), ("2026-03-01T12:20", 0, "a", 7, 3)]
    columns = of_rows(rows, ["model"], [0, 22])
    noon = int(datetime(2026, 3, 1, 12, 20, tzinfo=UTC).timestamp())
    assert columns.minute.tolist() == [noon, NO_TIME, noon]
    assert columns.outcome.tolist() == [1, -1, 0]
    assert [columns.keys["model"].values[code] for code in columns.keys["model"].codes] == ["a", None, "a"]
    assert np.isnan(columns.fields[0]).tolist() == [False, True, False]
    assert columns.fields[22].tolist()[2] == 3.0


def test_some_of_the_records_can_be_chosen() -> None:
    columns = of_rows([("2026-03-01T12:20", 1, "a", 5.0), (None, 0, "b", 6.0)], ["model"], [0])
    one = chosen(columns, np.array([False, True]))
    assert (one.size, one.outcome.tolist(), one.fields[0].tolist()) == (1, [0], [6.0])
    assert [one.keys["model"].values[code] for code in one.keys["model"].codes] == ["b"]


def test_of_no_rows_there_are_empty_columns() -> None:
    columns = of_rows([], ["model"], [0])
    assert (columns.size, len(columns.fields[0]), columns.keys["model"].values) == (0, 0, [])


def test_parts_that_are_joined_are_as_if_they_had_been_read_at_once() -> None:
    rows = [
        (minute, 1, model, None if value is None else float(value))
        for minute, model, value in zip(
            ("2026-03-01T12:20", None, "2026-03-01T12:21") * 4, ("a", "b", None, "c") * 3, (None, 5, 7) * 4, strict=True
        )
    ]

    def shown(columns: Columns) -> object:
        key = columns.keys["model"]
        return (
            *(columns.size, columns.minute.tolist(), columns.outcome.tolist()),
            *([key.values[code] for code in key.codes], key.values, repr(columns.fields[0].tolist())),
        )

    for cut in range(1, len(rows)):
        parts = [of_rows(part, ["model"], [0]) for part in (rows[:cut], rows[cut:])]
        assert shown(joined(parts)) == shown(of_rows(rows, ["model"], [0]))
