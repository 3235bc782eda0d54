"""What tokens cost, beside exact decimal arithmetic that is written in another way."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.pricing.rates import PriceTier, Rates, Tariff, Tokens, always, cost_usd

PLAIN = PriceTier(input=2.5, cached=1.25, written=3.0, output=10.0, reasoning=10.0)

prices = st.decimals(0, 500, places=4).map(float)
counts = st.integers(0, 2**30)


@st.composite
def usages(draw: st.DrawFn) -> Tokens:
    """Parts that fit into their wholes."""
    plain, cached, written, spoken, reasoning = (draw(counts) for _ in range(5))
    for_1h = draw(st.integers(0, written))
    return Tokens(plain + cached + written, spoken + reasoning, cached, written, reasoning, for_1h)


def exactly(level: PriceTier, tokens: Tokens) -> Decimal:
    """Token by token of each kind, as a bill lists them."""
    assert tokens.output is not None
    bill = (
        (tokens.cached, level.cached),
        (tokens.written - tokens.written_for_1h, level.written),
        (tokens.written_for_1h, level.written if level.written_for_1h is None else level.written_for_1h),
        (tokens.input - tokens.cached - tokens.written, level.input),
        (tokens.reasoning, level.reasoning),
        (tokens.output - tokens.reasoning, level.output),
    )
    return sum((Decimal(str(price)) * count / 10**6 for count, price in bill), Decimal(str(level.per_request)))


@given(
    st.builds(PriceTier, prices, prices, prices, prices, prices, prices, written_for_1h=st.none() | prices), usages()
)
def test_the_cost_is_that_of_exact_arithmetic(level: PriceTier, tokens: Tokens) -> None:
    usd = cost_usd((level,), tokens)
    assert usd == pytest.approx(float(exactly(level, tokens)), rel=1e-12, abs=1e-15)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=4, unique=True), usages())
def test_the_highest_level_that_was_passed_holds_for_all_tokens(starts: list[int], tokens: Tokens) -> None:
    levels = [PLAIN._replace(above=above, input=float(index)) for index, above in enumerate([-1, *sorted(starts)])]
    passed = [level for level in levels if tokens.input > level.above]
    assert cost_usd(tuple(levels), tokens) == pytest.approx(float(exactly(passed[-1], tokens)), rel=1e-12, abs=1e-15)


def test_a_level_begins_after_its_number_of_tokens_not_at_it() -> None:
    rates: Rates = (PLAIN, PLAIN._replace(above=200_000, input=5.0))
    assert cost_usd(rates, Tokens(200_000, 0)) == 0.5
    assert cost_usd(rates, Tokens(200_001, 0)) == pytest.approx(1.000005)


@pytest.mark.parametrize(
    "tokens",
    [
        Tokens(100, None),  # nobody counted the output
        Tokens(100, 5, cached=101),
        Tokens(100, 5, cached=60, written=41),
        Tokens(100, 5, cached=-1),
        Tokens(100, 5, written=-1),
        Tokens(100, 5, reasoning=6),
        Tokens(100, 5, reasoning=-1),
        Tokens(-1, 5),
    ],
)
def test_counts_that_are_missing_or_contradict_each_other_have_no_cost(tokens: Tokens) -> None:
    assert cost_usd((PLAIN,), tokens) is None


def test_a_model_without_a_price_for_what_was_used_has_no_cost() -> None:
    only_input = PLAIN._replace(output=None, reasoning=None)
    assert cost_usd((only_input,), Tokens(1_000_000, 0)) == 2.5
    assert cost_usd((only_input,), Tokens(1_000_000, 1)) is None
    nothing = PriceTier(None, None, None, None, None)
    assert cost_usd((nothing,), Tokens(1, 0)) is None
    assert cost_usd((nothing,), Tokens(0, 1)) is None
    assert cost_usd((nothing,), Tokens(0, 0)) == 0.0


def test_a_price_of_nothing_is_a_cost_of_nothing_and_not_an_unknown_one() -> None:
    assert cost_usd((PriceTier(0.0, 0.0, 0.0, 0.0, 0.0),), Tokens(10, 10)) == 0.0


def test_an_absurd_cost_is_none() -> None:
    assert cost_usd((PLAIN._replace(input=1e308),), Tokens(2**40, 0)) is None


def test_a_tariff_changes_at_midnight_in_utc_and_at_its_times_of_day() -> None:
    grid = tuple(tuple((PLAIN._replace(input=float(10 * day + time)),) for time in range(3)) for day in range(2))
    tariff = Tariff(grid, ("", "2026-03-01"), ("", "00:30:00", "16:30:00"))

    def price(timestamp: str) -> float | None:
        return tariff.at(timestamp)[0].input

    assert price("2026-02-28T00:29:59.999999Z") == 0
    assert price("2026-02-28T00:30:00.000000Z") == 1
    assert price("2026-02-28T23:59:59.999999Z") == 2
    assert price("2026-03-01T00:00:00.000000Z") == 10
    assert price("2026-03-01T16:29:59.999999Z") == 11
    assert price("2030-01-01T16:30:00.000000Z") == 12


def test_what_always_holds_holds_at_any_time() -> None:
    assert always((PLAIN,)).at("1970-01-01T00:00:00Z") == (PLAIN,)
