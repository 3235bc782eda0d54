"""Which price counts for a request. Pure except for the public lists, which are loaded when they are first needed.

    the server's own cost  →  the first row of the user's table that fits  →  the public lists
                           →  what the user's own machine costs, by its busy time  →  unknown

The model in the answer is tried before the one in the request, because it is the one that is billed.
A local server or a gateway has no public price: its cost is unknown, not 0, unless a row says what the machine costs in
an hour. That is an estimate. It is the price of its busy time alone, of which each request has its share.

Savings by prompt caches are at the same prices. Where the server says its cost itself, they are at those of the lists.
"""

import ipaddress
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from llm_metrics_proxy.pricing import public
from llm_metrics_proxy.pricing.rates import Rates, Tariff, always, bill
from llm_metrics_proxy.pricing.table import ALWAYS, FOR_EVER, PriceRow

if TYPE_CHECKING:
    from llm_metrics_proxy.wire.dialects import Seller

UPSTREAM: Final = "upstream"
PRICE_TABLE: Final = "price_table"
GENAI_PRICES: Final = "genai_prices"
OWN_HARDWARE: Final = "own_hardware"
SOURCES: Final = (UPSTREAM, PRICE_TABLE, GENAI_PRICES, OWN_HARDWARE)
Priced = tuple[float | None, str | None, float | None]
UNKNOWN: Final[Priced] = (None, None, None)
_MS_PER_HOUR: Final = 3_600_000

_REPEATED: Final = "repeated"  # as ``record.UsageSource`` has it
_MOST_KNOWN: Final = 10_000  # clients choose models' names; beyond this the cache is cleared


class Billable(Protocol):
    """What a price depends on; ``record.RequestRecord`` has it all."""

    @property
    def timestamp(self) -> str: ...
    @property
    def dialect(self) -> str | None: ...
    @property
    def backend(self) -> str | None: ...
    @property
    def backend_name(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def response_model(self) -> str | None: ...
    @property
    def service_tier(self) -> str | None: ...
    @property
    def usage_source(self) -> str | None: ...
    @property
    def prompt_tokens(self) -> int | None: ...
    @property
    def completion_tokens(self) -> int | None: ...
    @property
    def cached_tokens(self) -> int | None: ...
    @property
    def cache_write_tokens(self) -> int | None: ...
    @property
    def cache_write_1h_tokens(self) -> int | None: ...
    @property
    def reasoning_tokens(self) -> int | None: ...
    @property
    def upstream_cost_usd(self) -> float | None: ...


class _Offer(NamedTuple):
    """A tariff that fits, or the price of a machine's hour, from one time to another."""

    tariff: Tariff | None
    source: str
    from_: str = ALWAYS
    until: str = FOR_EVER
    usd_per_hour: float = 0.0
    rates: Rates | None = None  # those of any time, where the tariff knows no other


_Key = tuple[str | None, str | None, str | None, str | None, str | None, str | None]


class Pricer:
    """Prices records, one after the other. Not for several threads at once."""

    def __init__(
        self, rows: Sequence[PriceRow] = (), *, use_public_lists: bool = True, ours: Sequence[PriceRow] = ()
    ) -> None:
        """``rows``: the user's own table, in its order; ``ours``: rows of this program that count behind it."""
        self._rows = (*rows, *ours)
        self._of_user = len(rows)
        self._use_public = use_public_lists
        from llm_metrics_proxy.wire.endpoints import DIALECTS  # noqa: PLC0415 -- verbs that price nothing load no readers

        # Their answers have no output tokens to count.
        self._only_input = frozenset(dialect.name for dialect in DIALECTS if not dialect.has_output)
        # Who is behind an address that no list knows, for models that only one provider sells.
        self._sellers = {dialect.name: dialect.seller for dialect in DIALECTS if dialect.seller is not None}
        self._known: dict[_Key, tuple[_Offer, ...]] = {}

    def price(self, record: Billable, busy_ms: float | None = None) -> Priced:
        """Cost in US dollars, who said so, and what prompt caches saved of it; ``None`` for what is unknown.

        ``busy_ms``: the record's share of its server's busy time. A record that was counted with another one has none
        of this.
        """
        if record.usage_source == _REPEATED:
            return UNKNOWN
        reported, tokens = record.upstream_cost_usd, record.prompt_tokens
        if reported is not None and not 0 <= reported < inf:
            reported = None
        if tokens is None and busy_ms is None:
            return UNKNOWN if reported is None else (reported, UPSTREAM, None)
        timestamp = record.timestamp
        for offer in self._offers_for(record):
            if not offer.from_ <= timestamp < offer.until:
                continue
            if offer.tariff is None:
                if busy_ms is not None and reported is None:
                    return _by_time(offer, busy_ms)
            elif tokens is not None:
                return self._by_tokens(record, offer.rates or offer.tariff.at(timestamp), offer.source, reported)
        return UNKNOWN if reported is None else (reported, UPSTREAM, None)

    def _offers_for(self, record: Billable) -> tuple[_Offer, ...]:
        key = (
            record.response_model,
            record.model,
            record.backend,
            record.backend_name,
            record.dialect,
            record.service_tier,
        )
        return self._known.get(key) or self._remember(key)

    def _by_tokens(self, record: Billable, rates: Rates, source: str, reported: float | None) -> Priced:
        cached, written, output = record.cached_tokens, record.cache_write_tokens, record.completion_tokens
        if output is None and record.dialect in self._only_input:
            output = 0
        found = bill(
            rates,
            record.prompt_tokens or 0,
            output,
            cached or 0,
            written or 0,
            record.reasoning_tokens or 0,
            record.cache_write_1h_tokens or 0,
        )
        # Unknown where the server says nothing of its cache.
        saved = None if found is None or (cached is None and written is None) else found[1]
        if reported is not None:
            return reported, UPSTREAM, saved
        return UNKNOWN if found is None else (found[0], source, saved)

    def words(self) -> str:
        """Which lists these are, for people."""
        rows = self._of_user
        parts = [f"{rows} row{'' if rows == 1 else 's'} of the price table"] if rows else []
        if self._use_public:
            parts.append(public.lists_version())
        return ", ".join(parts) or "no price list"

    def _remember(self, key: _Key) -> tuple[_Offer, ...]:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        offers = self._known[key] = tuple(
            each if each.tariff is None else each._replace(rates=each.tariff.constant) for each in self._offers(key)
        )
        return offers

    def _offers(self, key: _Key) -> list[_Offer]:
        response_model, model, backend, backend_name, dialect, service_tier = key
        names = list(dict.fromkeys(name for name in (response_model, model) if name))
        offers = []
        for name in names:
            for row in self._rows:
                if row.is_machine or not row.fits(name, backend_name, backend):
                    continue
                if row.provider is None:
                    offers.append(_Offer(always(row.rates()), PRICE_TABLE, row.from_, row.until))
                elif (tariff := _first(row.provider, names, service_tier)) is not None:
                    offers.append(_Offer(tariff, GENAI_PRICES, row.from_, row.until))
        if self._use_public and backend is not None:
            for provider in _providers(backend, self._sellers.get(dialect or ""), names):
                if (tariff := _first(provider, names, service_tier)) is not None:
                    offers.append(_Offer(tariff, GENAI_PRICES))
                    break
        for name in names or [""]:  # a request that names no model keeps the machine busy too
            offers += [
                _Offer(None, OWN_HARDWARE, row.from_, row.until, row.hour_usd)
                for row in self._rows
                if row.is_machine and row.fits(name, backend_name, backend)
            ]
        return offers


def _by_time(offer: _Offer, busy_ms: float) -> Priced:
    usd = busy_ms * offer.usd_per_hour / _MS_PER_HOUR
    return (usd, offer.source, None) if 0 <= usd < inf else UNKNOWN


def _first(provider: str, names: Sequence[str], service_tier: str | None) -> Tariff | None:
    found = (public.tariff(provider, name, service_tier) for name in names)
    return next((tariff for tariff in found if tariff is not None), None)


def _providers(backend: str, seller: "Seller | None", names: Sequence[str]) -> list[str]:
    """Providers that may be behind a server; none for a local one."""
    host = backend.rpartition(":")[0].strip("[]") or backend
    if is_local(host):
        return []
    known = public.provider_of_host(host)
    if known is not None:
        return [known]
    return [seller.provider] if seller and any(seller.model_word in name.lower() for name in names) else []


def is_local(host: str) -> bool:
    """An address that the internet does not route, or a name that only the local network knows."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.rpartition(".")[2].lower() in {"local", "internal", "lan", "localhost", "home"}
