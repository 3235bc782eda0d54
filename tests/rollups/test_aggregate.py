"""What records add; the whole of it is compared with a slow oracle in the tests of the store."""

from random import Random

import numpy as np

from llm_metrics_proxy.rollups.aggregate import ALL_FIELDS, ALL_KEYS, Tally, days_in, roll_up
from llm_metrics_proxy.rollups.columns import Columns, of_rows
from llm_metrics_proxy.rollups.grains import DAY, GRAINS, HOUR, NO_TIME
from llm_metrics_proxy.rollups.values import BY_NAME

MORNING = "2026-03-01T08:10"
DAY_OF_IT = 1772323200


def columns(*rows: tuple[str | None, int, str, float | None]) -> Columns:
    """Minute, success, model, response time; of all else nothing."""
    full = [
        (minute, success, *(model if name == "model" else None for name in ALL_KEYS),
         *(time if number == 0 else None for number in ALL_FIELDS))
        for minute, success, model, time in rows
    ]  # fmt: skip
    return of_rows(full, ALL_KEYS, ALL_FIELDS)


def of(tallies: list[Tally], grain: int, level: int) -> Tally:
    return next(t for t in tallies if t.places and (t.places[0].grain, t.places[0].level) == (grain, level))


def test_groups_count_and_add_up() -> None:
    found = of(
        roll_up(columns((MORNING, 1, "a", 5.0), (MORNING, 0, "b", 7.0), (MORNING, 1, "a", None)), set()), 1, DAY.number
    )
    by_model = {place.key[1]: index for index, place in enumerate(found.places)}
    a = by_model["a"]
    assert (found.requests[a], found.succeeded[a], found.failed[a]) == (2, 2, 0)
    assert found.cells.where(found.cells.group == a).sum.tolist() == [5.0]
    assert found.places[a].bucket == DAY_OF_IT


def test_only_dense_days_have_the_hours_of_clients() -> None:
    one = columns((MORNING, 1, "a", 5.0))
    origin = next(grain.number for grain in GRAINS if grain.dimensions == ("origin",))
    assert days_in(one) == [DAY_OF_IT]
    levels = [
        {tally.places[0].level for tally in roll_up(one, dense) if tally.places and tally.places[0].grain == origin}
        for dense in (set[int](), {DAY_OF_IT})
    ]
    assert levels == [{DAY.number}, {DAY.number, HOUR.number}]


def test_records_without_a_time_are_in_a_bucket_of_their_own_at_every_level() -> None:
    found = roll_up(columns((None, 1, "a", 5.0), (MORNING, 1, "a", 6.0)), set())
    for level in (0, 1, 2):
        assert NO_TIME in {place.bucket for place in of(found, 0, level).places}
    assert days_in(columns((None, 1, "a", 5.0))) == []


def test_of_no_records_there_is_nothing() -> None:
    assert roll_up(columns(), set()) == []


def test_sketches_are_kept_where_the_table_says_so() -> None:
    random = Random(1)
    found = roll_up(columns(*((MORNING, 1, "a", random.uniform(1, 100)) for _ in range(50))), set())
    outcome = next(grain.number for grain in GRAINS if grain.dimensions == ("outcome",))
    assert len(of(found, outcome, HOUR.number).bins.slot) == 0
    day = of(found, outcome, DAY.number).bins
    assert int(np.sum(day.amount)) == 50
    assert set((day.slot // 2048).tolist()) == {BY_NAME["response_time_ms"].number}
