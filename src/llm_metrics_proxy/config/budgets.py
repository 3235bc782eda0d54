"""Budgets that warn: the tables ``[[budgets]]`` of the file, and what is checked about them."""

from functools import partial
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, StringConstraints, model_validator

from llm_metrics_proxy.analytics.dimensions import dimension
from llm_metrics_proxy.analytics.query import check_timezone
from llm_metrics_proxy.config.types import setting
from llm_metrics_proxy.config.watch import AboutTable, Number, Text, Webhook
from llm_metrics_proxy.errors import QueryError

_key: Final = partial(setting, group="Budgets")
EACH: Final = ("user", "api_key_id", "app", "model", "backend_name", "origin", "session_id", "host")
_MOST_LEVELS: Final = 10


def _each(value: object) -> object:
    if isinstance(value, str) and value not in EACH:
        if not value.startswith("tag:"):
            raise ValueError("budgets cannot be kept for each of that")
        try:
            dimension(value)
        except QueryError as error:
            raise ValueError(str(error)) from error
    return value


def _zone(value: object) -> object:
    if isinstance(value, str):
        try:
            check_timezone(value)
        except QueryError as error:
            raise ValueError(str(error)) from error
    return value


def _levels(value: object) -> object:
    if not isinstance(value, list) or not 1 <= len(value) <= _MOST_LEVELS:
        raise ValueError("that is no list of percents")
    if not all(isinstance(one, int) and not isinstance(one, bool) and 1 <= one <= 1000 for one in value):
        raise ValueError("that is no list of percents")
    return sorted(set(value))


class BudgetTable(AboutTable):
    """One table ``[[budgets]]``."""

    usd: Number | None = _key(None, "The budget in US dollars.", ge=0.01, le=1e12, shown_default="give this or tokens")
    tokens: Number | None = _key(
        None, "The budget in tokens, in and out.", ge=1, le=1e15, shown_default="give this or usd"
    )
    per: Literal["day", "week", "month"] = _key("month", "The period, by the calendar of `timezone`.")
    each: Annotated[Text, BeforeValidator(_each)] | None = _key(
        None,
        "A budget of that size for each value of a dimension, such as each user; else one for all requests together.",
        allowed=f"{', '.join(EACH)}, or tag:KEY",
        shown_default="one for all",
    )
    timezone: Annotated[str, BeforeValidator(_zone), StringConstraints(strict=True)] = _key(
        "UTC", "Its clock and calendar say when a period begins.", allowed="an IANA time zone such as Europe/Berlin"
    )
    week_begins: Literal["monday", "sunday", "saturday"] = _key("monday", "The first day of a week.")
    warn: Annotated[list[int], BeforeValidator(_levels)] = _key(
        [50, 80, 100],
        "Percents of the budget at which it warns, once each in a period.",
        allowed="a list of up to 10 whole numbers from 1 to 1000, such as [50, 80, 100]",
    )
    warn_projected: bool = _key(
        True,
        "Warn once in a period when, at the rate of late, it will be passed before the period is over.",
    )
    webhook: Webhook | None = _key(
        None,
        "URL to post JSON to when it warns. Never shown.",
        allowed="an http:// or https:// URL without user and fragment",
        shown_default="none: only shown",
    )

    @model_validator(mode="after")
    def _has_one_size(self) -> "BudgetTable":
        if (self.usd is None) == (self.tokens is None):
            raise ValueError("give usd or tokens, one of them")
        return self

    @property
    def limit(self) -> tuple[float, str]:
        """How much, and of what."""
        return (self.usd, "USD") if self.usd is not None else (self.tokens or 0.0, "tokens")


BudgetTables = list[BudgetTable]
