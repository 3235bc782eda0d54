"""Which price counts for a request. Pure except for the public lists, which are loaded when they are first needed.

    the server's own cost  →  the first row of the user's table that fits  →  the public lists  →  unknown

The model in the answer is tried before the one in the request, because it is the one that is billed.
A local server or a gateway has no public price: its cost is unknown, not 0.
"""

import ipaddress
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from llm_metrics_proxy.pricing import public
from llm_metrics_proxy.pricing.rates import Tariff, Tokens, always, cost_usd
from llm_metrics_proxy.pricing.table import ALWAYS, FOR_EVER, PriceRow

if TYPE_CHECKING:
    from llm_metrics_proxy.wire.dialects import Seller

UPSTREAM: Final = "upstream"
PRICE_TABLE: Final = "price_table"
GENAI_PRICES: Final = "genai_prices"
SOURCES: Final = (UPSTREAM, PRICE_TABLE, GENAI_PRICES)
UNKNOWN: Final[tuple[float | None, str | None]] = (None, None)

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
    """A tariff that fits, from one time to another."""

    tariff: Tariff
    source: str
    from_: str = ALWAYS
    until: str = FOR_EVER


_Key = tuple[str | None, str | None, str | None, str | None, str | None, str | None]


class Pricer:
    """Prices records, one after the other. Not for several threads at once."""

    def __init__(self, rows: Sequence[PriceRow] = (), *, use_public_lists: bool = True) -> None:
        """``rows``: the user's own table, in its order."""
        self._rows = tuple(rows)
        self._use_public = use_public_lists
        from llm_metrics_proxy.wire.endpoints import DIALECTS  # noqa: PLC0415 -- verbs that price nothing load no readers

        # Their answers have no output tokens to count.
        self._only_input = frozenset(dialect.name for dialect in DIALECTS if not dialect.has_output)
        # Who is behind an address that no list knows, for models that only one provider sells.
        self._sellers = {dialect.name: dialect.seller for dialect in DIALECTS if dialect.seller is not None}
        self._known: dict[_Key, tuple[_Offer, ...]] = {}

    def price(self, record: Billable) -> tuple[float | None, str | None]:
        """Cost in US dollars and who said so; both None if it is unknown, or was counted with another record."""
        if record.usage_source == _REPEATED:
            return UNKNOWN
        reported = record.upstream_cost_usd
        if reported is not None and 0 <= reported < inf:
            return reported, UPSTREAM
        tokens = record.prompt_tokens
        if tokens is None:
            return UNKNOWN
        key = (
            record.response_model,
            record.model,
            record.backend,
            record.backend_name,
            record.dialect,
            record.service_tier,
        )
        offers = self._known.get(key)
        if offers is None:
            offers = self._remember(key)
        timestamp = record.timestamp
        for tariff, source, from_, until in offers:
            if from_ <= timestamp < until:
                output = record.completion_tokens
                if output is None and record.dialect in self._only_input:
                    output = 0
                usage = Tokens(
                    tokens,
                    output,
                    record.cached_tokens or 0,
                    record.cache_write_tokens or 0,
                    record.reasoning_tokens or 0,
                    record.cache_write_1h_tokens or 0,
                )
                usd = cost_usd(tariff.at(timestamp), usage)
                return UNKNOWN if usd is None else (usd, source)
        return UNKNOWN

    def words(self) -> str:
        """Which lists these are, for people."""
        rows = len(self._rows)
        parts = [f"{rows} row{'' if rows == 1 else 's'} of the price table"] if rows else []
        if self._use_public:
            parts.append(public.lists_version())
        return ", ".join(parts) or "no price list"

    def _remember(self, key: _Key) -> tuple[_Offer, ...]:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        offers = self._known[key] = tuple(self._offers(key))
        return offers

    def _offers(self, key: _Key) -> list[_Offer]:
        response_model, model, backend, backend_name, dialect, service_tier = key
        names = list(dict.fromkeys(name for name in (response_model, model) if name))
        offers = []
        for name in names:
            for row in self._rows:
                if not row.fits(name, backend_name, backend):
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
        return offers


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
