"""Prices of one model, and what a number of tokens costs at them. Pure.

Input tokens are the total: those read from a cache and those written to one are part of it, as reasoning tokens are
part of the output. Prices are in US dollars per million tokens.
"""

from bisect import bisect_right
from math import isfinite
from typing import Final, NamedTuple, Self

_MILLION: Final = 1e6


class PriceTier(NamedTuple):
    """Prices that hold for all tokens of a request whose input has more than ``above`` tokens.

    ``input`` and ``output`` may be None: the model has no such price, and a request with such tokens is not priced.
    """

    input: float | None
    cached: float | None
    written: float | None
    output: float | None
    reasoning: float | None
    per_request: float = 0.0  # US dollars
    above: int = -1
    written_for_1h: float | None = None  # of input written to a cache for an hour; None: as other written input

    @classmethod
    def of(
        cls,
        input_: float | None,
        output: float | None,
        *,
        cached: float | None = None,
        written: float | None = None,
        reasoning: float | None = None,
        per_request: float = 0.0,
        above: int = -1,
        written_for_1h: float | None = None,
    ) -> Self:
        """Tokens without a price of their own cost as much as those they are part of."""
        cached, written = input_ if cached is None else cached, input_ if written is None else written
        thought = output if reasoning is None else reasoning
        return cls(input_, cached, written, output, thought, per_request, above, written_for_1h)


Rates = tuple[PriceTier, ...]  # by ``above``, the first from 0 tokens on


class Tokens(NamedTuple):
    """What a request used. ``output`` is None if it is unknown."""

    input: int
    output: int | None
    cached: int = 0
    written: int = 0
    reasoning: int = 0
    written_for_1h: int = 0  # part of the written ones


def cost_usd(rates: Rates, tokens: Tokens) -> float | None:
    """What the tokens cost; ``None`` as ``bill``."""
    found = bill(rates, *tokens)
    return None if found is None else found[0]


def bill(  # noqa: PLR0917 -- a place for each count, in the order of ``Tokens``
    rates: Rates, total: int, output: int | None, cached: int, written: int, reasoning: int, for_1h: int
) -> tuple[float, float] | None:
    """What the tokens cost, and what caches saved of it; in the order of ``Tokens``, one of which would cost as much
    time as all of this.

    Saved is what the input would have cost without a cache, minus what it costs: below 0 where writing into the cache
    cost more than reading from it saved. ``None``: a price is missing, or the counts contradict each other (parts above
    the whole). The price of a tier holds for all tokens of the request, as providers bill long contexts.
    """
    tier = rates[0]
    if len(rates) > 1:
        for each in rates[1:]:
            if total > each.above:
                tier = each
    plain = total - cached - written
    if output is None or plain < 0 or cached < 0 or not 0 <= for_1h <= written or not 0 <= reasoning <= output:
        return None
    per_input, per_cached, per_written, per_output, per_thought, usd, _, per_1h = tier
    saved = 0.0
    if total:
        if per_input is None or per_cached is None or per_written is None:
            return None
        due = plain * per_input + cached * per_cached
        if for_1h and per_1h is not None:
            due += for_1h * per_1h + (written - for_1h) * per_written
        else:
            due += written * per_written
        usd += due / _MILLION
        if cached or written:
            saved = (total * per_input - due) / _MILLION
    if output:
        if per_output is None or per_thought is None:
            return None
        usd += ((output - reasoning) * per_output + reasoning * per_thought) / _MILLION
    return (usd, saved) if isfinite(usd) else None


class Tariff(NamedTuple):
    """Rates over time: a grid of UTC days from which they hold and UTC times of day from which they hold.

    Both lists begin with an empty text, which stands before every time. Timestamps are ISO 8601 in UTC, as records
    have them, so texts compare as times do.
    """

    grid: tuple[tuple[Rates, ...], ...]  # by day, then by time of day
    days: tuple[str, ...] = ("",)  # 2026-01-31
    times: tuple[str, ...] = ("",)  # 16:30:00

    @property
    def constant(self) -> Rates | None:
        """The rates of every moment, if there are no others."""
        return self.grid[0][0] if len(self.grid) == 1 and len(self.times) == 1 else None

    def at(self, timestamp: str) -> Rates:
        """The rates of a moment."""
        day = bisect_right(self.days, timestamp[:10]) - 1 if len(self.days) > 1 else 0
        time = bisect_right(self.times, timestamp[11:19]) - 1 if len(self.times) > 1 else 0
        return self.grid[day][time]


def always(rates: Rates) -> Tariff:
    """The same rates at any time."""
    return Tariff(((rates,),))
