import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.rollups.sketch import GAMMA, RELATIVE_ERROR, SLOTS, VALUES, quantile, slots_of

SIZES = st.floats(1e-7, 5e10, allow_nan=False)
FRACTIONS = st.floats(0.001, 0.999)


def exact(values: list[float], fraction: float) -> float:
    """``percentile_cont``: linear between the two nearest."""
    ordered = sorted(values)
    place = fraction * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def sketched(values: list[float], fraction: float) -> float | None:
    slots, counts = np.unique(slots_of(np.array(values)), return_counts=True)
    return quantile(slots.astype(np.int64), counts, fraction, min(values), max(values))


@given(st.lists(SIZES, min_size=1, max_size=200), FRACTIONS)
def test_a_percentile_is_within_one_percent_of_the_exact_one(values: list[float], fraction: float) -> None:
    found, wanted = sketched(values, fraction), exact(values, fraction)
    assert found is not None
    assert abs(found - wanted) <= RELATIVE_ERROR * wanted * (1 + 1e-9)


@given(SIZES)
def test_a_slot_holds_what_it_says(value: float) -> None:
    (slot,) = slots_of(np.array([value])).tolist()
    told = float(VALUES[slot])
    assert told / GAMMA * (1 - 1e-9) <= value <= told * GAMMA * (1 + 1e-9)
    assert abs(told - value) <= RELATIVE_ERROR * value * (1 + 1e-9)


@given(st.lists(st.floats(-1e300, 1e300, allow_nan=False), min_size=1, max_size=50), FRACTIONS)
def test_no_answer_lies_outside_of_the_values(values: list[float], fraction: float) -> None:
    found = sketched(values, fraction)
    assert found is not None
    assert min(values) <= found <= max(values)


def test_zero_and_below_have_a_slot_of_their_own_and_are_told_as_zero() -> None:
    assert slots_of(np.array([0.0, -0.0, -5.0, 1e-300, 1e300])).tolist() == [0, 0, 0, 1, SLOTS - 1]
    assert sketched([-4.0, -3.0, 5.0, 6.0, 7.0], 0.25) == 0.0


def test_there_is_no_percentile_of_nothing() -> None:
    nothing = np.zeros(0, np.int64)
    assert quantile(nothing, nothing, 0.5, 0.0, 0.0) is None


def test_the_ends_and_a_single_value_are_exact() -> None:
    assert sketched([123.456], 0.5) == 123.456
    assert sketched([1.0, 123.456], 0.0) == 1.0
    assert sketched([1.0, 123.456], 1.0) == 123.456
