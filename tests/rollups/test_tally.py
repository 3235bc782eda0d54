"""What records add; the whole of it is compared with a slow oracle in the tests of the store."""

from random import Random

import numpy as np
import pytest

from llm_metrics_proxy.rollups import tally
from llm_metrics_proxy.rollups.columns import Columns, Key, of_rows
from llm_metrics_proxy.rollups.grains import DAY, GRAINS, HOUR, MINUTE, NO_TIME, QUARTER, Dense
from llm_metrics_proxy.rollups.tally import ALL_KEYS, Tally, buckets_in, grouped, roll_up
from llm_metrics_proxy.rollups.values import ALL, BY_NAME

MORNING = "2026-03-01T08:10"
DAY_OF_IT = 1772323200


def columns(*rows: tuple[str | None, int, str, float | None]) -> Columns:
    """Minute, success, model, response time; of all else nothing."""
    full = [
        (minute, success, *(model if name == "model" else None for name in ALL_KEYS),
         *(time if number == 0 else None for number in ALL))
        for minute, success, model, time in rows
    ]  # fmt: skip
    return of_rows(full, ALL_KEYS, ALL)


def of(tallies: list[Tally], grain: int, level: int) -> Tally:
    return next(t for t in tallies if t.places and (t.places[0].grain, t.places[0].level) == (grain, level))


def test_groups_count_and_add_up() -> None:
    found = of(
        roll_up(columns((MORNING, 1, "a", 5.0), (MORNING, 0, "b", 7.0), (MORNING, 1, "a", None)), Dense()),
        1,
        DAY.number,
    )
    by_model = {place.key[1]: index for index, place in enumerate(found.places)}
    a = by_model["a"]
    assert (found.requests[a], found.succeeded[a], found.failed[a]) == (2, 2, 0)
    assert found.cells.where(found.cells.group == a).sum.tolist() == [5.0]
    assert found.places[a].bucket == DAY_OF_IT


def test_only_dense_days_have_the_hours_of_clients() -> None:
    one = columns((MORNING, 1, "a", 5.0))
    origin = next(grain.number for grain in GRAINS if grain.dimensions == ("origin",))
    assert buckets_in(one, DAY) == [DAY_OF_IT]
    levels = [
        {each.places[0].level for each in roll_up(one, dense) if each.places and each.places[0].grain == origin}
        for dense in (Dense(), Dense(days={DAY_OF_IT}))
    ]
    assert levels == [{DAY.number}, {DAY.number, HOUR.number}]


def test_only_dense_quarters_have_minutes_and_days_and_quarters_do_not_need_each_other() -> None:
    some = columns((MORNING, 1, "a", 5.0), ("2026-03-01T08:11", 1, "a", 6.0), ("2026-03-01T08:50", 1, "a", 7.0))
    eight = buckets_in(some, QUARTER)[0]
    tallies = roll_up(some, Dense(quarters={eight}))
    minutes, hours = of(tallies, 1, MINUTE.number), of(tallies, 1, HOUR.number)
    assert [place.bucket for place in minutes.places] == [eight + 600, eight + 660]
    assert {place.bucket: int(n) for place, n in zip(hours.places, hours.requests, strict=True)} == {eight: 3}
    assert not any(t.places and (t.places[0].grain, t.places[0].level) == (1, QUARTER.number) for t in tallies)


def test_records_without_a_time_are_in_a_bucket_of_their_own_at_every_level() -> None:
    found = roll_up(columns((None, 1, "a", 5.0), (MORNING, 1, "a", 6.0)), Dense())
    for level in (0, 1, 2):
        assert NO_TIME in {place.bucket for place in of(found, 0, level).places}
    assert buckets_in(columns((None, 1, "a", 5.0)), DAY) == []


def test_groups_are_the_same_whether_they_are_looked_up_or_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(2)
    keys = [Key(np.array([random.randrange(n) for _ in range(60)]), list(range(n))) for n in (3, 1, 5)]
    group, values = grouped(keys)
    wanted = list(zip(*(key.codes.tolist() for key in keys), strict=True))
    assert [values[number] for number in group.tolist()] == wanted
    assert values == sorted(set(values))
    monkeypatch.setattr(tally, "_LARGEST_TABLE", 0)
    again, same = grouped(keys)
    assert (again.tolist(), same) == (group.tolist(), values)


def test_of_no_records_there_is_nothing() -> None:
    assert roll_up(columns(), Dense()) == []


def test_sketches_are_kept_where_the_table_says_so() -> None:
    random = Random(1)
    found = roll_up(columns(*((MORNING, 1, "a", random.uniform(1, 100)) for _ in range(50))), Dense())
    outcome = next(grain.number for grain in GRAINS if grain.dimensions == ("outcome",))
    assert len(of(found, outcome, HOUR.number).bins.slot) == 0
    day = of(found, outcome, DAY.number).bins
    assert int(np.sum(day.amount)) == 50
    assert set((day.slot // 2048).tolist()) == {BY_NAME["response_time_ms"].number}
