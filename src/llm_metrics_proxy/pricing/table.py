"""The user's own prices: rows, in the order of the file, the first that fits counts. Pure.

A row names models by a pattern and may name backends and a time. It has prices; or the name of a provider whose public
list applies: a gateway under a private address is priced like the provider behind it; or what an hour of a machine
costs, which counts where nothing else does.
"""

from typing import Final

import msgspec

from llm_metrics_proxy.globs import matches
from llm_metrics_proxy.pricing.rates import PriceTier, Rates

ALWAYS: Final = ""  # before every time, as text
FOR_EVER: Final = "~"  # after every time


class PriceRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row. Prices are US dollars per million tokens; ``from_`` is inclusive and ``until`` is not, both ISO 8601 in
    UTC as records have them. Without a price for cached or written input, that costs as other input does."""

    model: str
    backend: str | None = None
    provider: str | None = None
    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    cached_usd_per_mtok: float | None = None
    cache_write_usd_per_mtok: float | None = None
    cache_write_1h_usd_per_mtok: float | None = None
    usd_per_hour: float | None = None
    power_watts: float | None = None
    usd_per_kwh: float | None = None
    from_: str = ALWAYS
    until: str = FOR_EVER

    @property
    def is_machine(self) -> bool:
        """It says what a machine's time costs, and not what tokens do."""
        return self.usd_per_hour is not None or self.power_watts is not None

    @property
    def hour_usd(self) -> float:
        """What a busy hour of the machine costs: rent or depreciation, and power."""
        return (self.usd_per_hour or 0.0) + (self.power_watts or 0.0) * (self.usd_per_kwh or 0.0) / 1000

    def fits(self, model: str, backend_name: str | None, backend: str | None) -> bool:
        """Is the row about this model of this server? ``backend``: its name in the settings, or its host:port."""
        if not matches(self.model, model):
            return False
        return self.backend is None or any(matches(self.backend, name) for name in (backend_name, backend) if name)

    def rates(self) -> Rates:
        """Its prices. A model that only takes in (embeddings) needs no price for output."""
        cached, written = self.cached_usd_per_mtok, self.cache_write_usd_per_mtok
        for_1h = self.cache_write_1h_usd_per_mtok
        prices = self.input_usd_per_mtok, self.output_usd_per_mtok
        return (PriceTier.of(*prices, cached=cached, written=written, written_for_1h=for_1h),)
