import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.analytics.arrivals import ONE_HOST, Arrivals

NUMBERS = st.integers(0, 2**63 - 1)
ANY = st.dictionaries(st.text(max_size=8), NUMBERS, max_size=4).map(Arrivals)
ONE = Arrivals.of_one_host


@given(ANY)
def test_a_text_gives_back_what_it_was_made_of(arrivals: Arrivals) -> None:
    text = str(arrivals)
    assert Arrivals.parsed(text) == (arrivals if arrivals.by_host else ONE(0))
    assert text.isascii()
    assert not set(text) & set(" \r\n&#?\0")


def test_of_one_host_the_text_is_the_number() -> None:
    assert str(ONE(17)) == "17"
    assert str(Arrivals()) == "0"
    assert str(Arrivals({"b": 2, "a,=": 1})) == "a%2C%3D=1,b=2"


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "1,2", "a=", "a=1,a=2", "a=1,", "9" * 20, "a=9223372036854775808", "\uff11"]
)
def test_other_texts_are_none(text: str) -> None:
    assert Arrivals.parsed(text) is None


@given(ANY, ANY)
def test_the_greater_of_both_is_ahead_of_neither_part_alone(one: Arrivals, other: Arrivals) -> None:
    both = one.merged(other)
    assert not one.is_ahead_of(both)
    assert not other.is_ahead_of(both)
    assert both.is_ahead_of(one) == other.is_ahead_of(one)


def test_a_host_that_came_since_is_ahead() -> None:
    assert Arrivals({"a": 5, "b": 1}).is_ahead_of(Arrivals({"a": 5}))
    assert not Arrivals({"a": 5, "b": 0}).is_ahead_of(Arrivals({"a": 7}))


def test_so_many_before_is_never_below_nothing() -> None:
    assert Arrivals({"a": 50, "b": 3}).less(10) == Arrivals({"a": 40, "b": 0})


def test_after_a_part_of_a_range_the_hosts_before_are_done() -> None:
    through = Arrivals({"a": 10, "b": 20, "c": 30})
    assert Arrivals({"b": 4}).passed(through, "b", 9) == Arrivals({"a": 10, "b": 9})
    assert Arrivals({"c": 3}).passed(through, "a", 9) == Arrivals({"a": 9, "c": 3})
    assert ONE(4).passed(ONE(20), "whoever", 9) == Arrivals({ONE_HOST: 9})


def test_a_record_that_was_seen_moves_its_host() -> None:
    assert ONE(4).with_record("whoever", 5) == ONE(5)
    assert Arrivals({"a": 4}).with_record("b", 5) == Arrivals({"a": 4, "b": 5})
