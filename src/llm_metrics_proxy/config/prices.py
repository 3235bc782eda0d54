"""The user's own prices: the tables ``[[prices]]`` of the configuration file, and what is checked about them."""

from datetime import UTC, date, datetime, time
from functools import partial
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, model_validator

from llm_metrics_proxy.config.types import Glob, Number, setting

_key: Final = partial(setting, group="Cost")
MOST_USD_PER_MTOK: Final = 1_000_000
MOST_USD_PER_HOUR: Final = 100_000
MOST_WATTS: Final = 1_000_000
MOST_USD_PER_KWH: Final = 1_000
_WHEN: Final = "a date, or a time with its zone, such as 2026-03-01 or 2026-03-01T12:00:00Z"
_PRICES: Final = (
    "input_usd_per_mtok", "output_usd_per_mtok", "cached_usd_per_mtok", "cache_write_usd_per_mtok",
    "cache_write_1h_usd_per_mtok",
)  # fmt: skip
_MACHINE: Final = ("usd_per_hour", "power_watts", "usd_per_kwh")


def _moment(value: object) -> object:
    """As records have it: ISO 8601 in UTC with microseconds. A date is its midnight in UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value) if "T" in value or " " in value else date.fromisoformat(value)
        except ValueError as error:
            raise ValueError("that is not a time") from error
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time(0), tzinfo=UTC)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("the zone is missing")
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


Moment = Annotated[str, BeforeValidator(_moment)]


def _price(meaning: str, shown_default: str) -> Any:
    return _key(None, meaning, ge=0, le=MOST_USD_PER_MTOK, shown_default=shown_default)


def _machine(meaning: str, most: int) -> Any:
    return _key(None, meaning, ge=0, le=most, shown_default="none")


class PriceTable(BaseModel):
    """One table. The fields are documented like settings; ``table.markdown`` lists them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Glob = _key(
        ...,
        "Models with this price: `*` any characters, `?` one, `[ab]` one of these. The model named in the answer is "
        "tried first, then the requested one.",
        allowed="a pattern, such as gpt-4o*",
    )
    backend: Glob | None = _key(
        None,
        "Only for this server: a pattern for its name in `[[backends]]`, or for its `host:port`.",
        allowed="a pattern, such as azure-*",
        shown_default="every one",
    )
    provider: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,64}$", strict=True)] | None = _key(
        None,
        "Instead of prices: use this provider's public list. For a gateway or a proxy under an address of your own.",
        allowed="a provider that genai-prices knows, such as openai, anthropic, azure or openrouter",
        shown_default="none",
    )
    input_usd_per_mtok: Number | None = _price("Input tokens.", "needed without provider")
    output_usd_per_mtok: Number | None = _price(
        "Output tokens, reasoning included. If not set, requests that have any are not priced.", "none"
    )
    cached_usd_per_mtok: Number | None = _price("Input tokens that were read from a cache.", "as other input")
    cache_write_usd_per_mtok: Number | None = _price("Input tokens that were written to a cache.", "as other input")
    cache_write_1h_usd_per_mtok: Number | None = _price(
        "Of those, the ones that are kept for an hour.", "as other written input"
    )
    usd_per_hour: Number | None = _machine(
        "What an hour of your own machine costs. It is shared out by the time that the server is busy, and counts "
        "where nothing else says a cost. Leave prices of tokens and provider out.",
        MOST_USD_PER_HOUR,
    )
    power_watts: Number | None = _machine(
        "Power that the machine draws while it is busy; with usd_per_kwh, in place of usd_per_hour or in addition.",
        MOST_WATTS,
    )
    usd_per_kwh: Number | None = _machine("What a kilowatt-hour costs.", MOST_USD_PER_KWH)
    valid_from: Moment | None = _key(None, "The first moment of these prices.", allowed=_WHEN, shown_default="always")
    valid_until: Moment | None = _key(None, "The first moment after them.", allowed=_WHEN, shown_default="for ever")

    @model_validator(mode="after")
    def _says_one_thing(self) -> "PriceTable":
        given = [name for name in _PRICES if getattr(self, name) is not None]
        if any(getattr(self, name) is not None for name in _MACHINE):
            self._is_of_a_machine(given)
        else:
            self._is_of_tokens(given)
        if self.valid_from is not None and self.valid_until is not None and self.valid_from >= self.valid_until:
            raise ValueError("valid_until must be after valid_from")
        return self

    def _is_of_a_machine(self, given: list[str]) -> None:
        other = ["provider"] if self.provider is not None else given
        if other:
            raise ValueError(f"a machine's hour takes the place of prices and provider: leave it out, or {other[0]}")
        if (self.power_watts is None) != (self.usd_per_kwh is None):
            raise ValueError("power_watts and usd_per_kwh need each other")

    def _is_of_tokens(self, given: list[str]) -> None:
        if self.provider is not None and given:
            raise ValueError(f"provider takes the place of prices: leave it out, or {given[0]}")
        if self.provider is None and self.input_usd_per_mtok is None:
            raise ValueError(
                "input_usd_per_mtok is missing (0 for what is free), or in its place provider, or usd_per_hour for a "
                "machine of your own"
            )


PriceTables = list[PriceTable]
