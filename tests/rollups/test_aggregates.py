import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.rollups.aggregates import Sketch, SketchedAggregates, SketchedStats
from llm_metrics_proxy.rollups.sketch import slots_of

VALUES = st.lists(st.floats(0.01, 1e6, allow_nan=False), max_size=30)


def moments(values: list[float]) -> SketchedStats:
    if not values:
        return SketchedStats()
    slots, counts = np.unique(slots_of(np.array(values)), return_counts=True)
    return SketchedStats(len(values), sum(values), min(values), max(values), Sketch(slots.astype(np.int64), counts))


def partial(values: list[float]) -> SketchedAggregates:
    return SketchedAggregates(len(values) + 1, len(values), 1, {0: moments(values)} if values else {})


@given(VALUES, VALUES, VALUES)
def test_merged_groups_are_the_group_of_all(one: list[float], two: list[float], three: list[float]) -> None:
    merged = partial(one).merged(partial(two)).merged(partial(three))
    other_way = partial(one).merged(partial(two).merged(partial(three)))
    together = [*one, *two, *three]
    for found in (merged, other_way):
        assert found.count("requests") == len(together) + 3
        assert (found.count("succeeded"), found.count("failed")) == (len(together), 3)
        told, wanted = found.moments("response_time_ms"), moments(together)
        assert (told.n, told.min, told.max) == (wanted.n, wanted.min, wanted.max)
        assert told.sum == pytest.approx(wanted.sum)
        assert told.quantile(0.9) == pytest.approx(wanted.quantile(0.9))


def test_a_field_without_values_is_nothing_and_not_zero() -> None:
    nothing = partial([]).moments("response_time_ms")
    assert (nothing.n, nothing.sum, nothing.min, nothing.max, nothing.quantile(0.5)) == (0, None, None, None, None)


def test_where_one_part_has_no_sketch_there_is_no_percentile() -> None:
    without = SketchedStats(2, 3.0, 1.0, 2.0)
    assert without.quantile(0.5) is None
    assert without.merged(moments([1.0])).quantile(0.5) is None
    assert without.merged(SketchedStats()) is without


def test_the_most_open_requests_are_not_known() -> None:
    assert partial([1.0]).peak() is None
