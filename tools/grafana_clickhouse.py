"""The panels of the dashboard that asks ClickHouse itself, by SQL over the table of records.

``python -m tools.make_dashboard`` writes it. A test runs every statement in ClickHouse's own engine, with the macros of
Grafana's plugin (``grafana-clickhouse-datasource``, 4.x) written out. Tokens and cost that another record counts
(``usage_source = 'repeated'``) are left out, as everywhere in this program.
"""

from typing import Any, Final

from tools.grafana import GrafanaSource, Link, Panel, Row, Variable

TABLE: Final = "completion_requests"
_TIME_SERIES, _TABLE = 0, 1  # the plugin's formats


def _target(sql: str, panel: Panel) -> dict[str, Any]:
    over_time = panel.kind == "timeseries"
    return {
        "editorType": "sql",
        "queryType": "timeseries" if over_time else "table",
        "format": _TIME_SERIES if over_time else _TABLE,
        "rawSql": sql,
    }


SOURCE: Final = GrafanaSource("grafana-clickhouse-datasource", "ClickHouse", _target, "${__field.labels.series}")
_CHOSEN: Final = ("model", "app", "host")
VARIABLES: Final = tuple(
    Variable(column, f"SELECT DISTINCT {column} FROM {TABLE} WHERE {column} != '' ORDER BY {column} LIMIT 1000")  # noqa: S608
    for column in _CHOSEN
)
_WHERE: Final = "\n  AND ".join(
    (
        "WHERE $__timeFilter(timestamp)",
        *(f"$__conditionalAll({column} IN (${{{column}:singlequote}}), ${column})" for column in _CHOSEN),
    )
)
_COUNTED: Final = "ifNull(usage_source, '') != 'repeated'"
_SECONDS: Final = "$__interval_s"
_HOUR: Final = 3600


def _sum(column: str) -> str:
    return f"sumIf({column}, {_COUNTED})"


def _whole(expression: str, name: str, more: str = "") -> tuple[str]:
    """One number over the range."""
    return (f"SELECT {expression} AS `{name}`\nFROM {TABLE}\n{_WHERE}{more}",)


def _over_time(series: str, expression: str, more: str = "") -> str:
    """One line for each value of ``series``, which may be missing: no line has no name."""
    return (
        f"SELECT $__timeInterval(timestamp) AS time, ifNull({series}, '') AS series, {expression} AS value\n"
        f"FROM {TABLE}\n{_WHERE}{more}\nGROUP BY time, series\nORDER BY time"
    )


def _quantiles(column: str, *levels: float) -> tuple[str, ...]:
    """A line for each of the quantiles, in seconds."""
    return tuple(
        _over_time(f"'p{level * 100:g}'", f"quantile({level:g})({column}) / 1000", f"\n  AND {column} >= 0")
        for level in levels
    )


def _table(columns: str, more: str, *, where: str = "") -> tuple[str]:
    return (f"SELECT {columns}\nFROM {TABLE}\n{_WHERE}{where}\n{more}",)


_MODEL: Final = "ifNull(model, '')"
_ERROR: Final = "concat(ifNull(error_category, 'unknown'), '/', ifNull(error_type, 'unknown'))"
_HIT_RATIO: Final = (
    f"sumIf(cached_tokens, {_COUNTED} AND cached_tokens <= ifNull(prompt_tokens, 0)) / "
    f"nullIf(sumIf(prompt_tokens, {_COUNTED} AND cached_tokens <= ifNull(prompt_tokens, 0)), 0)"
)
_FAILED: Final = "countIf(NOT success) / count()"
_LINKS: Final = (
    Link("session", "The session", "/sessions?session=${__value.raw}"),
    Link("request", "The request", "/requests?id=${__value.raw}"),
)
_TIMES: Final = (
    ("response time", "ms"),
    ("first token", "ms"),
    ("first token, p95", "ms"),
    ("response time, p95", "ms"),
)
_MONEY: Final = (("cost", "currencyUSD"), ("failed", "percentunit"), ("cached", "percentunit"))

PANELS: Final[tuple[Panel | Row, ...]] = (
    Panel("Requests", "none", _whole("count()", "requests"), "stat", 4),
    Panel("Completed", "percentunit", _whole("countIf(success) / nullIf(count(), 0)", "completed"), "stat", 4),
    Panel(
        "Time to first token, p95",
        "ms",
        _whole("quantile(0.95)(time_to_first_token_ms)", "p95", "\n  AND time_to_first_token_ms >= 0"),
        "stat",
        4,
        "Streams only.",
    ),
    Panel("Tokens", "none", _whole(_sum("total_tokens"), "tokens"), "stat", 4, "As servers reported them."),
    Panel("Cost", "currencyUSD", _whole(_sum("cost_usd"), "USD"), "stat", 4, "Only requests whose price is known."),
    Panel("Read from prompt caches", "percentunit", _whole(_HIT_RATIO, "hit rate"), "stat", 4),
    Row("Requests and errors"),
    Panel("Requests by outcome", "reqps", (_over_time("outcome", f"count() / {_SECONDS}"),)),
    Panel("Errors by type", "reqps", (_over_time(_ERROR, f"count() / {_SECONDS}", "\n  AND error_type != ''"),)),
    Panel("Requests by model", "reqps", (_over_time(_MODEL, f"count() / {_SECONDS}"),)),
    Panel("Requests by application", "reqps", (_over_time("app", f"count() / {_SECONDS}"),)),
    Panel("Requests by host", "reqps", (_over_time("host", f"count() / {_SECONDS}"),)),
    Panel(
        "Requests by server",
        "reqps",
        (_over_time("coalesce(backend_name, backend)", f"count() / {_SECONDS}"),),
    ),
    Row("Times"),
    Panel("Time to first token", "s", _quantiles("time_to_first_token_ms", 0.5, 0.95, 0.99), about="Streams only."),
    Panel("Time per output token", "s", _quantiles("time_per_output_token_ms", 0.5, 0.95), about="Streams only."),
    Panel("Response time", "s", _quantiles("response_time_ms", 0.5, 0.95, 0.99)),
    Panel("Added by the proxy", "s", _quantiles("proxy_overhead_ms", 0.5, 0.99)),
    Row("Tokens, caches and cost"),
    Panel(
        "Tokens in and out, all requests together",
        "tokens/s",
        (
            _over_time(f"concat({_MODEL}, ' in')", f"{_sum('prompt_tokens')} / {_SECONDS}"),
            _over_time(f"concat({_MODEL}, ' out')", f"{_sum('completion_tokens')} / {_SECONDS}"),
        ),
    ),
    Panel(
        "Cost per hour by model",
        "currencyUSD",
        (_over_time(_MODEL, f"{_sum('cost_usd')} * {_HOUR} / {_SECONDS}"),),
        about="As priced when each request was stored.",
    ),
    Panel(
        "Prompt cache hit rate by model",
        "percentunit",
        (_over_time(_MODEL, _HIT_RATIO, "\n  AND isNotNull(cached_tokens)"),),
        about="Of input tokens whose server says how many came from its cache.",
    ),
    Panel(
        "Saved by prompt caches per hour",
        "currencyUSD",
        (_over_time(_MODEL, f"{_sum('cache_savings_usd')} * {_HOUR} / {_SECONDS}"),),
        about="What writing to a cache costs more is taken off.",
    ),
    Panel(
        "Busy servers",
        "percentunit",
        (
            _over_time(
                "coalesce(backend_name, backend)",
                f"sum(backend_busy_ms) / 1000 / {_SECONDS}",
                "\n  AND isNotNull(backend_busy_ms)",
            ),
        ),
        about="Share of the time in which a server had requests open.",
    ),
    Panel(
        "Used of subscriptions' windows",
        "percent",
        (
            _over_time(
                "concat(api_key_id, ' shorter')",
                "max(quota_primary_used_percent)",
                "\n  AND isNotNull(quota_primary_used_percent)",
            ),
            _over_time(
                "concat(api_key_id, ' longer')",
                "max(quota_secondary_used_percent)",
                "\n  AND isNotNull(quota_secondary_used_percent)",
            ),
        ),
        about="By key, as servers said; over 100 it is overdrawn.",
    ),
    Row("Who and what"),
    Panel(
        "Models",
        "none",
        _table(
            f"{_MODEL} AS model, count() AS requests, {_FAILED} AS failed, {_sum('total_tokens')} AS tokens,\n"
            f"  {_HIT_RATIO} AS cached, {_sum('cost_usd')} AS cost,\n"
            "  quantileIf(0.95)(time_to_first_token_ms, time_to_first_token_ms >= 0) AS `first token, p95`,\n"
            "  quantileIf(0.95)(response_time_ms, response_time_ms >= 0) AS `response time, p95`",
            "GROUP BY model\nORDER BY requests DESC\nLIMIT 100",
        ),
        "table",
        24,
        units=(*_MONEY, *_TIMES),
    ),
    Panel(
        "Applications and users",
        "none",
        _table(
            "ifNull(app, '') AS application, ifNull(user, '') AS person, count() AS requests, "
            f"{_FAILED} AS failed,\n  {_sum('total_tokens')} AS tokens, {_sum('cost_usd')} AS cost",
            "GROUP BY application, person\nORDER BY cost DESC, requests DESC\nLIMIT 100",
        ),
        "table",
        12,
        units=_MONEY,
    ),
    Panel(
        "Costliest sessions",
        "none",
        _table(
            "session_id AS session, anyIf(app, isNotNull(app)) AS application, count() AS requests,\n"
            f"  uniqExact(agent_id) AS agents, {_sum('total_tokens')} AS tokens, {_sum('cost_usd')} AS cost,\n"
            "  min(timestamp) AS began, max(timestamp) AS last",
            "GROUP BY session_id\nORDER BY cost DESC, tokens DESC\nLIMIT 50",
            where="\n  AND session_id != ''",
        ),
        "table",
        12,
        units=_MONEY,
        links=_LINKS,
    ),
    Panel(
        "Slowest requests",
        "none",
        _table(
            f"timestamp AS time, request_id AS request, {_MODEL} AS model, session_id AS session, trace_id AS trace,\n"
            "  response_time_ms AS `response time`, time_to_first_token_ms AS `first token`, total_tokens AS tokens,\n"
            "  outcome",
            "ORDER BY response_time_ms DESC\nLIMIT 50",
            where="\n  AND response_time_ms >= 0",
        ),
        "table",
        24,
        units=_TIMES,
        links=_LINKS,
    ),
    Panel(
        "Newest errors",
        "none",
        _table(
            f"timestamp AS time, request_id AS request, {_MODEL} AS model, {_ERROR} AS error, error_phase AS phase,\n"
            "  status_code AS status, error_message AS message, session_id AS session",
            "ORDER BY timestamp DESC\nLIMIT 100",
            where="\n  AND error_type != ''",
        ),
        "table",
        24,
        links=_LINKS,
    ),
)
