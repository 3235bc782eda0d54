"""The public price lists that genai-prices bundles, as tariffs of our own. The only file that knows the library.

Its ``calc_price`` takes 0.4 ms on the machine where ingestion was measured, because it resolves units, tiers and dates
again for every call; a tariff of ours is made once per model and then costs a microsecond. A test compares the two over
every model of the bundled lists. The library is loaded with the first price: verbs that need none start
faster by a tenth of a second, and the lists themselves take a second.

What records do not know, the lists' prices for it are not applied: audio and images are priced as text tokens, and
searches not at all.
"""

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice

from llm_metrics_proxy.pricing.rates import PriceTier, Rates, Tariff

_BEGIN: Final = date(1970, 1, 1)
_PER_MTOK: Final = (
    "input_mtok", "cache_read_mtok", "cache_write_mtok", "output_mtok", "output_reasoning_mtok", "cache_write_1h_mtok",
)  # fmt: skip


def lists_version() -> str:
    """Which lists these are."""
    from importlib.metadata import version  # noqa: PLC0415 -- for the one who asks

    return f"genai-prices {version('genai-prices')}"


def provider_ids() -> frozenset[str]:
    """Every provider that has a list."""
    return frozenset(provider.id for provider in _lists().providers)


def provider_of_host(host: str) -> str | None:
    """The provider whose API answers under this host name; None if no provider with a list does."""
    url = f"https://{host}/"
    return next((provider.id for provider in _lists().providers if re.match(provider.api_pattern, url)), None)


def tariff(provider_id: str, model: str, service_tier: str | None) -> Tariff | None:
    """The prices of a model; None: the provider's list has none by this name."""
    try:
        provider, info = _lists().find_provider_model(model, None, provider_id, None)
    except LookupError:
        return None
    # As the library has it: variants are those of the provider's own list, not of one that it falls back to.
    own = any(info is each for each in provider.models)
    context = _context(service_tier) if service_tier and own else None
    constraints = _constraints(info)
    days = sorted({each.start_date for each in constraints if hasattr(each, "start_date")})
    times = sorted({moment for each in constraints if hasattr(each, "start_time") for moment in _edges(each)})
    grid = tuple(
        tuple(
            _rates(info.get_prices(datetime.combine(day, moment, tzinfo=UTC), context)) for moment in (time(0), *times)
        )
        for day in (_BEGIN, *days)
    )
    return Tariff(grid, ("", *map(date.isoformat, days)), ("", *(moment.isoformat("seconds") for moment in times)))


def _context(service_tier: str) -> dict[str, str]:
    """What the lists call it: a batch is a way of processing there."""
    given = {"service_tier": service_tier}
    return {**given, "processing": "batch"} if service_tier == "batch" else given


@cache
def _lists() -> "DataSnapshot":
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 -- see above

    return get_snapshot()


def _constraints(info: "ModelInfo") -> list[Any]:
    conditional = info.prices if isinstance(info.prices, list) else []
    found = [each.constraint for each in conditional] + [each.constraint for each in info.price_variants or ()]
    return [each for each in found if each is not None]


def _edges(constraint: Any) -> tuple[time, time]:
    return _utc(constraint.start_time), _utc(constraint.end_time)


def _utc(moment: time) -> time:
    if moment.tzinfo is None:
        return moment
    return datetime.combine(_BEGIN, moment).astimezone(UTC).time()


def _rates(price: "ModelPrice") -> Rates:
    """Tiers at every number of input tokens where any price changes."""
    values = {name: getattr(price, name) for name in _PER_MTOK}
    starts = sorted({tier.start for value in values.values() for tier in getattr(value, "tiers", ())})
    per_request = getattr(price, "requests_kcount", None)
    flat = float(per_request) / 1000 if isinstance(per_request, Decimal) else 0.0
    tiers = []
    for above in (-1, *starts):
        input_, cached, written, output, reasoning, for_1h = (_above(values[name], above) for name in _PER_MTOK)
        parts = {"cached": cached, "written": written, "written_for_1h": for_1h, "reasoning": reasoning}
        tiers.append(PriceTier.of(input_, output, **parts, per_request=flat, above=above))
    assert all(lower.above < higher.above for lower, higher in pairwise(tiers))
    return tuple(tiers)


def _above(price: Any, above: int) -> float | None:
    """One price of the library: a number, or one with tiers, of which the last one passed counts."""
    if price is None or isinstance(price, Decimal):
        return None if price is None else float(price)
    passed = [tier.price for tier in price.tiers if tier.start <= above]
    return float(passed[-1] if passed else price.base)
