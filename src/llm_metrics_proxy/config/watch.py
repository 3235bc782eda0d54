"""Objectives and alerts: the tables ``[[slos]]`` and ``[[alerts]]`` of the file, and what is checked about them."""

import re
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, create_model, model_validator

from llm_metrics_proxy.analytics.conditions import Condition, parse_condition, parse_conditions, parse_values
from llm_metrics_proxy.analytics.filters import RULED, RequestFilter, value_type
from llm_metrics_proxy.analytics.measures import measure
from llm_metrics_proxy.analytics.slos import COMPLETED, parse_slo
from llm_metrics_proxy.columns import Column
from llm_metrics_proxy.config.types import Name, setting
from llm_metrics_proxy.errors import QueryError

_key: Final = partial(setting, group="SLOs and alerts")
MOST: Final = 100  # of each kind
# Of windows of servers' limits, not of records: the least share left, and how long before its reset one runs out.
LIMIT_METRICS: Final = ("limit_left_ratio", "limit_runs_out_early_s")
_OF_LIMITS: Final = {"backend_name", "api_key_id"}  # the conditions that windows have
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION: Final = "a duration such as 30s, 5m, 1h or 30d"


def _duration(value: object) -> object:
    match = re.fullmatch(r"(\d{1,6})([smhdw])", value, re.ASCII) if isinstance(value, str) else None
    if match is None:
        raise ValueError("that is not a duration")
    return int(match[1]) * _UNITS[match[2]]


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("that is not a number")  # noqa: TRY004 -- pydantic reports ValueError, not TypeError
    return value


def _requirement(value: object) -> object:
    if isinstance(value, str) and value != COMPLETED:
        try:
            return str(parse_slo(value))
        except QueryError as error:
            raise ValueError(str(error)) from error
    return value


def _where(value: object) -> object:
    if isinstance(value, str):
        try:
            return str(parse_condition(value))
        except QueryError as error:
            raise ValueError(str(error)) from error
    return value


def _metric(value: object) -> object:
    if isinstance(value, str) and value not in LIMIT_METRICS:
        try:
            measure(value)
        except QueryError as error:
            raise ValueError(str(error)) from error
    return value


def _webhook(value: object) -> object:
    if isinstance(value, str):
        parts = urlsplit(value)
        is_url = parts.scheme in {"http", "https"} and parts.hostname and re.fullmatch(r"[\x21-\x7e]+", value)
        if not is_url or "@" in parts.netloc or parts.fragment:
            raise ValueError("that is not a URL to post to")
    return value


Duration = Annotated[int, BeforeValidator(_duration), Field(ge=1, le=366 * 86_400)]
Hold = Annotated[int, BeforeValidator(_duration), Field(ge=0, le=7 * 86_400)]
Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=256, strict=True)]
Webhook = Annotated[str, BeforeValidator(_webhook), StringConstraints(strict=True)]
Where = Annotated[str, BeforeValidator(_where), StringConstraints(strict=True)]
Requirement = Annotated[str, BeforeValidator(_requirement), StringConstraints(strict=True)]


def _condition(column: Column) -> tuple[Any, Any]:
    assert column.filter is not None
    assert column.filter.rule is not None
    meaning, allowed = column.filter.rule
    kinds: dict[type, Any] = {bool: bool, int: int, str: Text}
    return kinds[value_type(column)] | None, _key(None, meaning, allowed=allowed, shown_default="every one")


_NAME: Final = _key(..., "Its name.", allowed="up to 63 of a-z, 0-9, dot, dash and underscore; each name once")
_FIELDS: Final[dict[str, Any]] = {
    "name": (Name, _NAME),
    **{name: _condition(column) for name, column in RULED.items()},
    "where": (
        list[Where],
        _key(
            [],
            "Only requests that meet all of these conditions on any column: `model!=a,b`, `response_time_ms>5000`.",
            allowed="a list of conditions, as --where takes them",
            shown_default="none",
        ),
    ),
}
_Conditions: Any = create_model("_Conditions", __config__=ConfigDict(frozen=True, extra="forbid"), **_FIELDS)


class AboutTable(_Conditions):  # type: ignore[misc]
    """Which requests a rule is about."""

    if TYPE_CHECKING:
        name: str
        tag: str | None
        where: list[str]

    @model_validator(mode="after")
    def _has_good_values(self) -> "AboutTable":
        for name in RULED:
            value = getattr(self, name)
            try:
                if isinstance(value, str):
                    parse_values(name, value)
                if name == "tag" and value is not None:
                    RequestFilter(tag=value)
            except QueryError as error:
                raise ValueError(f"{name} = {value!r}: {error}") from error
        return self

    def conditions(self) -> list[Condition]:
        """All of them; text may be several values, separated by commas."""
        found = []
        for name in RULED:
            value = getattr(self, name)
            if isinstance(value, str):
                found.append(Condition(name, "=", parse_values(name, value)))
            elif value is not None:
                found.append(Condition(name, "=", (value,)))
        return [*found, *parse_conditions(self.where)]


class SloTable(AboutTable):
    """One table ``[[slos]]``."""

    require: Requirement = _key(
        COMPLETED,
        "What makes a request good: `completed`, or completed with a value that meets the comparison, such as "
        "`time_to_first_token_ms < 500`. A request without the value is not good.",
        allowed="completed, or a column of metrics, <, <=, > or >=, and a number",
    )
    objective: Number = _key(..., "The share of requests that must be good.", ge=0.5, le=0.99999)
    window: Duration = _key(
        30 * 86_400, "Time over which it is measured, up to now.", allowed=_DURATION, shown_default="30d"
    )


class AlertTable(AboutTable):
    """One table ``[[alerts]]``."""

    metric: Annotated[str, BeforeValidator(_metric), StringConstraints(strict=True)] = _key(
        ...,
        "A metric of queries, such as `error_rate`, `requests`, `cost_usd`, `response_time_ms.p95` or `goodput`. Or of "
        "servers' limits, of which `backend_name` and `api_key_id` can choose some: `limit_left_ratio`, the least that "
        "is left of any (0 to 1), or `limit_runs_out_early_s`, how long before it begins anew one will be used up at "
        "this rate; above 0, it does not last.",
        allowed=f"a metric of queries, or {' or '.join(LIMIT_METRICS)}",
    )
    require: Requirement | None = _key(
        None,
        "For `goodput`: what makes a request good, as in `[[slos]]`.",
        allowed="a column of metrics, <, <=, > or >=, and a number",
        shown_default="none",
    )
    op: Literal[">", ">=", "<", "<="] = _key(">", "Comparison of metric and threshold that fires the alert.")
    threshold: Number = _key(..., "The number to compare with.", ge=-1e15, le=1e15)
    against: Literal["previous"] | None = _key(
        None,
        "`previous`: compare with the threshold how the metric changed since the window of the same length before, as "
        'a share of what it was; `threshold = -0.3` and `op = "<"` fire when it fell by more than 30 %. Both windows '
        "need `min_requests`.",
        shown_default="none: the metric itself",
    )
    window: Duration = _key(300, "Time over which it is measured, up to now.", allowed=_DURATION, shown_default="5m")
    for_duration: Hold = _key(
        0, "How long the condition must hold before the alert fires.", allowed=_DURATION, shown_default="0s"
    )
    resolve_duration: Hold = _key(
        0,
        "How long the condition must be over before the alert is resolved; against alerts that come and go.",
        allowed=_DURATION,
        shown_default="0s",
    )
    min_requests: Annotated[int, BeforeValidator(_number)] = _key(
        1, "With fewer records behind the number, the alert does not fire.", ge=0, le=1_000_000
    )
    webhook: Webhook | None = _key(
        None,
        "URL to post JSON to when it fires and when it is resolved. Never shown.",
        allowed="an http:// or https:// URL without user and fragment",
        shown_default="none: only shown",
    )

    @model_validator(mode="after")
    def _says_what_is_good(self) -> "AlertTable":
        if (self.metric == "goodput") != (self.require is not None):
            raise ValueError("metric goodput and require belong together: give both or neither")
        if self.require == COMPLETED:
            raise ValueError("for what is completed, take the metric success_rate or error_rate in place of goodput")
        if self.metric in LIMIT_METRICS:
            if self.against is not None:
                raise ValueError("limits have no window before: leave out against")
            given = {one.name for one in self.conditions()} - _OF_LIMITS
            if given:
                raise ValueError(f"limits have no {', '.join(sorted(given))}: choose them by backend_name, api_key_id")
        return self


SloTables = list[SloTable]
AlertTables = list[AlertTable]
