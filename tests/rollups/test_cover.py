from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.rollups.cover import FOREVER, US, Cover, CoverLevel, Stretches, Within, cover
from llm_metrics_proxy.rollups.grains import DAY, HOUR, MINUTE, NO_TIME, QUARTER

NEVER = -(2**63)
DAY_US = DAY.seconds * US
MOMENTS = st.one_of(
    st.integers(0, 6 * DAY_US),
    st.integers(0, 6 * 96).map(lambda quarters: quarters * QUARTER.seconds * US),
    st.integers(0, 6 * 1440).map(lambda minutes: minutes * MINUTE.seconds * US),
    st.integers(0, 6).map(lambda days: days * DAY_US),
)
DENSE = st.sets(st.integers(0, 6).map(lambda day: day * DAY.seconds))
QUARTERS = st.sets(st.integers(0, 6 * 96).map(lambda quarter: quarter * QUARTER.seconds), max_size=300)
# what the grains have: quarters always, on some days, and not at all; hours on some days alone
SHAPES = st.sampled_from(("total", "model", "fine", "clients"))


def steps(shape: str, days: set[int], quarters: set[int]) -> list[CoverLevel]:
    """Of such a grain, the coarsest first."""
    minutes = CoverLevel(MINUTE, Within(QUARTER, quarters))
    return {
        "total": [CoverLevel(DAY), CoverLevel(HOUR), CoverLevel(QUARTER), minutes],
        "model": [CoverLevel(DAY), CoverLevel(HOUR), CoverLevel(QUARTER, Within(DAY, days)), minutes],
        "fine": [CoverLevel(DAY), CoverLevel(HOUR), minutes],
        "clients": [
            CoverLevel(DAY),
            CoverLevel(HOUR, Within(DAY, days)),
            CoverLevel(QUARTER, Within(QUARTER, quarters)),
        ],
    }[shape]


def stretches(moments: list[int]) -> Stretches:
    """Between every two moments that follow each other, one place each."""
    ordered = sorted(set(moments))
    starts, ends = np.array(ordered[:-1], np.int64), np.array(ordered[1:], np.int64)
    return Stretches(starts, ends, np.arange(len(starts)))


def pieces(found: Cover) -> list[tuple[int, int, int]]:
    """All that is covered, by blocks or edges, in order of time."""
    parts = [*(block for _, block in found.blocks), found.edges]
    return sorted(piece for part in parts for piece in zip(*(column.tolist() for column in part), strict=True))


@given(st.lists(MOMENTS, min_size=2, max_size=8), SHAPES, DENSE, QUARTERS)
def test_blocks_and_edges_are_the_range_once_and_in_its_places(
    moments: list[int], shape: str, dense: set[int], quarters: set[int]
) -> None:
    given_ = stretches(moments)
    within = {step.level: step.within for step in steps(shape, dense, quarters)}
    found = cover(given_, steps(shape, dense, quarters), NEVER)
    at = {place: start for start, place in zip(given_.start.tolist(), given_.place.tolist(), strict=True)}
    for start, end, place in pieces(found):
        assert at[place] == start
        at[place] = end
    assert list(at.values()) == given_.end.tolist()
    for level, block in found.blocks:
        for start, end, _ in zip(*(column.tolist() for column in block), strict=True):
            assert start % (level.seconds * US) == end % (level.seconds * US) == 0
            allowed = within[level]
            assert allowed is None or start // US // allowed.level.seconds * allowed.level.seconds in allowed.buckets


@given(st.lists(MOMENTS, min_size=2, max_size=8), SHAPES, DENSE, QUARTERS, st.integers(0, 6))
def test_where_records_are_gone_no_moment_is_counted_twice(
    moments: list[int], shape: str, dense: set[int], quarters: set[int], kept_day: int
) -> None:
    """Ranges that follow each other count each moment once, and lose none but at the beginning of all."""
    given_, kept = stretches(moments), kept_day * DAY_US
    found = cover(given_, steps(shape, dense, quarters), kept_day * DAY.seconds)
    parts = sorted((start, end) for start, end, _ in pieces(found))
    assert all(one[1] <= other[0] for one, other in pairwise(parts))
    first, last = (int(given_.start[0]), int(given_.end[-1])) if len(given_.start) else (0, 0)
    counted = sum(end - start for start, end in parts)
    reaches = max([last, *(end for _, end in parts)])
    begins = min([last, *(start for start, _ in parts)])
    assert counted == reaches - begins
    assert first >= kept or begins - first < DAY_US
    assert all(start >= kept for start in found.edges.start.tolist())


def test_the_coarsest_buckets_that_fit_are_taken() -> None:
    found = cover(
        stretches([23 * 3600 * US, 3 * DAY_US + 20 * 60 * US]),
        [CoverLevel(DAY), CoverLevel(HOUR), CoverLevel(QUARTER)],
        NEVER,
    )
    lengths = [(level.name, block.microseconds // US // level.seconds) for level, block in found.blocks]
    assert lengths == [("day", 2), ("hour", 1), ("quarter", 1)]
    assert found.edges.microseconds == 5 * 60 * US


def test_an_endless_range_has_no_edges_and_leaves_out_what_has_no_time() -> None:
    found = cover(stretches([-FOREVER, FOREVER]), [CoverLevel(DAY), CoverLevel(HOUR)], NEVER)
    ((level, block),) = found.blocks
    assert level is DAY
    assert not len(found.edges.start)
    assert int(block.start[0]) // US > NO_TIME


def test_where_records_are_gone_a_bucket_counts_where_it_begins() -> None:
    kept = 3 * DAY.seconds
    begin, end = DAY_US + 70 * 60 * US, 2 * DAY_US + 100 * 60 * US
    found = cover(stretches([begin, end]), [CoverLevel(DAY), CoverLevel(HOUR)], kept)
    assert not len(found.edges.start)
    hours = [(start // US, stop // US) for start, stop, _ in pieces(found)]
    assert hours[0][0] == DAY.seconds + 2 * 3600
    assert hours[-1][1] == 2 * DAY.seconds + 2 * 3600


def test_what_is_not_gone_has_its_edges_all_the_same() -> None:
    found = cover(stretches([2 * DAY_US, 4 * DAY_US + US]), [CoverLevel(DAY)], 3 * DAY.seconds)
    assert found.edges.microseconds == US
