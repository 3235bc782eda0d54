from datetime import timedelta
from typing import Any

import msgspec
import pytest

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.heatmap import MAX_LINES, Heatmap, HeatmapQuery, map_heat
from llm_metrics_proxy.engines.sqlite.records_source import RecordsSource
from llm_metrics_proxy.errors import QueryError
from tests.analytics.database import NOON, Database, a_record

NOW = NOON + timedelta(hours=3)


@pytest.fixture
def asked(database: Database) -> Any:
    """Three records of Sunday noon, one of an hour later; the last lacks a model and its time."""
    database.add(
        a_record(0, model="a"),
        a_record(1, model="a"),
        a_record(2, model="b"),
        a_record(3600, model=None, response_time_ms=None),
    )
    return lambda **shape: map_heat([RecordsSource(database.reader)], HeatmapQuery(**shape), NOW)


def test_hours_and_weekdays_make_a_whole_week(asked: Any) -> None:
    found = asked()
    assert (found.x, found.y) == ([*range(24)], [*range(1, 8)])
    values = {(y, x): cell.value for y, line in zip(found.y, found.cells, strict=True)
              for x, cell in zip(found.x, line, strict=True) if cell is not None}  # fmt: skip
    assert values == {(7, 12): 3, (7, 13): 1}
    assert (found.records, found.left_out) == (4, 0)
    assert [column.name for column in found.columns] == ["weekday", "hour_of_day", "requests"]
    assert msgspec.json.decode(msgspec.json.encode(found), type=Heatmap) == found


def test_another_zone_moves_the_cells(asked: Any) -> None:
    found = asked(timezone="Pacific/Apia")
    assert found.cells[0][1].value == 3  # one o'clock on Monday


def test_words_are_shown_by_frequency_and_what_is_left_out_is_counted(asked: Any) -> None:
    found = asked(metric="response_time_ms.p95", y="model", limit=1)
    assert found.y == ["a"]
    assert (found.records, found.left_out) == (4, 2)
    assert asked(y="model").y == ["a", "b", None]


def test_time_and_bins_are_axes_too(asked: Any) -> None:
    found = asked(x="time", y="bin:response_time_ms", bucket="hour", filter=RequestFilter(start=NOON))
    assert found.bucket == "hour"
    assert found.x == [f"2026-03-01T{hour}:00:00Z" for hour in (12, 13, 14)]
    assert found.y == [1000.0, None]
    assert [[cell and cell.value for cell in line] for line in found.cells] == [[3, None, None], [None, 1, None]]
    models = asked(x="time", y="model", bucket="hour", filter=RequestFilter(start=NOON), limit=1)
    assert (models.y, models.left_out) == (["a"], 2)


def test_nothing_selected_has_empty_axes_or_empty_cells(asked: Any) -> None:
    nobody = RequestFilter(model="nobody")
    assert asked(x="origin", y="model", filter=nobody).cells == []
    assert {cell for line in asked(filter=nobody).cells for cell in line} == {None}


@pytest.mark.parametrize(
    ("wrong", "parameter"),
    [
        ({"x": "modle"}, "x"),
        ({"y": ""}, "y"),
        ({"x": "model", "y": "model"}, "y"),
        ({"limit": MAX_LINES + 1}, "limit"),
        ({"metric": "nothing"}, "metrics"),
        ({"bucket": "hour"}, "bucket"),
    ],
)
def test_what_cannot_be_drawn_is_refused(wrong: dict[str, Any], parameter: str) -> None:
    with pytest.raises(QueryError) as error:
        HeatmapQuery(**wrong)
    assert error.value.parameter == parameter
