"""The panels of the dashboard that asks this program's own API, wherever its records are.

``python -m tools.make_dashboard`` writes it, for Grafana's plugin Infinity (``yesoreyeram-infinity-datasource``, 3.x),
whose data source has the address and the token. A test asks the API every one of these questions, and jq itself makes
the rows.
"""

from typing import Any, Final, NamedTuple

from tools.grafana import GrafanaSource, Link, Panel, Row


class ApiQuestion(NamedTuple):
    """``path`` with its parameters. ``rows``: where the answer's rows are, in jq.

    ``columns``: name → (value in jq, type). A type is ``string``, ``number`` or ``timestamp``.
    """

    path: str
    rows: str
    columns: dict[str, tuple[str, str]]
    has_range: bool = True

    @property
    def selector(self) -> str:
        """The jq program that makes rows without any depth, as the plugin wants them."""
        fields = ", ".join(f'"{name}": {value}' for name, (value, _) in self.columns.items())
        return f"{self.rows} | {{{fields}}}"


_RANGE: Final = (("start", "${__from:date:iso}"), ("end", "${__to:date:iso}"))


def _target(asked: ApiQuestion, panel: Panel) -> dict[str, Any]:
    path, _, words = asked.path.partition("?")
    parameters = [*(pair.split("=", 1) for pair in words.split("&") if pair), *(_RANGE if asked.has_range else ())]
    return {
        "type": "json",
        "source": "url",
        "parser": "jq-backend",
        "format": "timeseries" if panel.kind == "timeseries" else "table",
        "url": path,
        "url_options": {"method": "GET", "params": [{"key": key, "value": value} for key, value in parameters]},
        "root_selector": asked.selector,
        "columns": [{"selector": name, "text": name, "type": kind} for name, (_, kind) in asked.columns.items()],
        "filters": [],
    }


SOURCE: Final = GrafanaSource("yesoreyeram-infinity-datasource", "Infinity", _target)
_LINKS: Final = (
    Link("session", "The session", "/sessions?session=${__value.raw}"),
    Link("request", "The request", "/requests?id=${__value.raw}"),
)
_TEXT, _NUMBER, _TIME = "string", "number", "timestamp"
_METRICS: Final = {
    "requests": "requests",
    "completed": "success_rate",
    "tokens": "total_tokens",
    "cost": "cost_usd",
    "first token, p95": "time_to_first_token_ms.p95",
    "response time, p95": "response_time_ms.p95",
}


def _measured(metrics: dict[str, str]) -> dict[str, tuple[str, str]]:
    return {name: (f'.values["{metric}"].value', _NUMBER) for name, metric in metrics.items()}


def _by(dimension: str) -> ApiQuestion:
    return ApiQuestion(
        f"/api/v1/breakdown?by={dimension}&metrics={','.join(_METRICS.values())}&limit=50",
        ".rows[]",
        {dimension: (f".key.{dimension}", _TEXT), **_measured(_METRICS)},
    )


def _over_time(metrics: dict[str, str]) -> ApiQuestion:
    return ApiQuestion(
        f"/api/v1/timeseries?metrics={','.join(metrics.values())}",
        ".rows[]",
        {"time": (".key.time", _TIME), **_measured(metrics)},
    )


def _plain(kind: str, **columns: str) -> dict[str, tuple[str, str]]:
    return {name.replace("_", " "): (f".{field}", kind) for name, field in columns.items()}


_UNITS: Final = (
    ("completed", "percentunit"), ("cost", "currencyUSD"), ("first token, p95", "ms"), ("response time, p95", "ms"),
    ("used", "percentunit"), ("at the end", "percentunit"), ("left", "percentunit"), ("share", "percentunit"),
    ("left at its reset", "percentunit"), ("response time", "ms"), ("first token", "ms"),
)  # fmt: skip

PANELS: Final[tuple[Panel | Row, ...]] = (
    Panel("Requests", "none", (_over_time({"requests": "requests"}),)),
    Panel(
        "Time to first token",
        "ms",
        (_over_time({"p50": "time_to_first_token_ms.p50", "p95": "time_to_first_token_ms.p95"}),),
        about="Streams only.",
    ),
    Panel("Response time", "ms", (_over_time({"p50": "response_time_ms.p50", "p95": "response_time_ms.p95"}),)),
    Panel("Cost", "currencyUSD", (_over_time({"cost": "cost_usd"}),), about="Only requests whose price is known."),
    Panel("Models", "none", (_by("model"),), "table", 12, units=_UNITS),
    Panel("Applications", "none", (_by("app"),), "table", 12, units=_UNITS),
    Panel(
        "Errors",
        "none",
        (
            ApiQuestion(
                "/api/v1/errors",
                ".types[]",
                {
                    **_plain(_TEXT, category="category", type="type"),
                    **_plain(_NUMBER, requests="n", share="share"),
                    **_plain(_TIME, newest="newest"),
                    **_plain(_TEXT, meaning="meaning", advice="advice"),
                },
            ),
        ),
        "table",
        24,
        units=_UNITS,
    ),
    Panel(
        "Costliest sessions",
        "none",
        (
            ApiQuestion(
                "/api/v1/sessions?order=-cost_usd&limit=50",
                ".items[]",
                {
                    **_plain(_TEXT, session="session_id", application="app"),
                    **_plain(_NUMBER, requests="requests", errors="errors", agents="agents", tokens="total_tokens"),
                    **_plain(_NUMBER, cost="cost_usd"),
                    **_plain(_TIME, began="first_request", last="last_request"),
                },
            ),
        ),
        "table",
        24,
        units=_UNITS,
        links=_LINKS,
    ),
    Panel(
        "Newest requests",
        "none",
        (
            ApiQuestion(
                "/api/v1/requests?limit=100",
                ".items[]",
                {
                    **_plain(_TIME, time="timestamp"),
                    **_plain(_TEXT, model="model", application="app", outcome="outcome", error="error_type"),
                    **_plain(_NUMBER, first_token="time_to_first_token_ms"),  # noqa: S106 -- a time, no secret
                    **_plain(_NUMBER, response_time="response_time_ms"),
                    **_plain(_NUMBER, tokens="total_tokens", cost="cost_usd"),
                    **_plain(_TEXT, session="session_id", request="request_id"),
                },
            ),
        ),
        "table",
        24,
        units=_UNITS,
        links=_LINKS,
    ),
    Panel(
        "Limits of servers and subscriptions",
        "none",
        (
            ApiQuestion(
                "/api/v1/quotas",
                ".quotas[]",
                {
                    **_plain(_TEXT, server="backend", key="api_key_id", limit="limit"),
                    **_plain(_NUMBER, left="left_ratio", left_at_its_reset="left_at_reset_ratio"),
                    **_plain(_TIME, begins_anew="resets_at", used_up="runs_out_at"),
                    **_plain(_TEXT, verdict="verdict"),
                },
                has_range=False,
            ),
        ),
        "table",
        24,
        units=_UNITS,
    ),
    Panel(
        "Budgets",
        "none",
        (
            ApiQuestion(
                "/api/v1/budgets",
                ".budgets[] | .name as $name | .per as $per | .limit as $limit | .unit as $unit | .standings[]",
                {
                    "budget": ("$name", _TEXT),
                    "of": (".value", _TEXT),
                    "period": ("$per", _TEXT),
                    "limit": ("$limit", _NUMBER),
                    "unit": ("$unit", _TEXT),
                    **_plain(_NUMBER, spent="spent", used="spent_ratio", at_the_end="projected_ratio"),
                    **_plain(_TEXT, state="state"),
                },
                has_range=False,
            ),
        ),
        "table",
        12,
        units=_UNITS,
    ),
    Panel(
        "Alerts",
        "none",
        (
            ApiQuestion(
                "/api/v1/alerts",
                ".alerts[]",
                {
                    **_plain(_TEXT, alert="name", phase="phase"),
                    **_plain(_TIME, since="since"),
                    **_plain(_TEXT, metric="metric"),
                    **_plain(_NUMBER, value="value", threshold="threshold"),
                },
                has_range=False,
            ),
        ),
        "table",
        12,
    ),
)
