"""Write contrib/grafana-dashboard.json from the table of panels below.

    python -m tools.make_dashboard

A test fails when the file is not what the table gives, and another one runs every query in Debian's Prometheus while it
scrapes this proxy.
"""

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

FILE: Final = Path(__file__).parents[1] / "contrib" / "grafana-dashboard.json"
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_SELECTED: Final = '{model=~"$model",backend=~"$backend"}'
_WIDTH: Final = 24  # Grafana's grid


class Panel(NamedTuple):
    """``queries``: PromQL and legend. ``unit`` in Grafana's words; ``width`` of the grid's 24."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    width: int = 12
    about: str = ""


def _rate(name: str, by: str) -> str:
    return f"sum by ({by}) (rate(llm_proxy_{name}{_SELECTED}[$__rate_interval]))"


def _quantiles(name: str, *quantiles: float) -> tuple[tuple[str, str], ...]:
    by_bound = _rate(f"{name}_bucket", "le")
    return tuple((f"histogram_quantile({each}, {by_bound})", f"p{each * 100:g}") for each in quantiles)


_ERRORS: Final = _rate("errors_total", "error_category, error_type")
_ALL: Final = f"llm_proxy_requests_total{_SELECTED}"
_GOOD: Final = 'llm_proxy_requests_total{outcome="completed",model=~"$model",backend=~"$backend"}'
_HOUR: Final = 3600
_SAVED: Final = _rate("cache_saved_usd_total", "model")
_SURCHARGE: Final = _rate("cache_surcharge_usd_total", "model")

PANELS: Final = (
    Panel("Requests", "reqps", ((f"sum(rate({_ALL}[$__rate_interval]))", "requests"),), "stat", 4),
    Panel(
        "Completed",
        "percentunit",
        ((f"sum(rate({_GOOD}[$__rate_interval])) / sum(rate({_ALL}[$__rate_interval]))", "completed"),),
        "stat",
        4,
    ),
    Panel("Time to first token, p95", "s", _quantiles("time_to_first_token_seconds", 0.95), "stat", 4),
    Panel(
        "Cost per hour",
        "currencyUSD",
        ((f"sum(rate(llm_proxy_cost_usd_total{_SELECTED}[$__rate_interval])) * {_HOUR}", "USD/h"),),
        "stat",
        4,
        "Only requests whose price is known.",
    ),
    Panel("Running now", "none", (("sum(llm_proxy_num_requests_running)", "running"),), "stat", 4),
    Panel("Not in the database yet", "s", (("max(llm_proxy_journal_lag_seconds)", "behind"),), "stat", 4),
    Panel("Requests by outcome", "reqps", ((_rate("requests_total", "outcome"), "{{outcome}}"),)),
    Panel(
        "Errors by type",
        "reqps",
        ((_ERRORS, "{{error_category}}/{{error_type}}"),),
    ),
    Panel(
        "Time to first token", "s", _quantiles("time_to_first_token_seconds", 0.5, 0.95, 0.99), about="Streams only."
    ),
    Panel("Time per output token", "s", _quantiles("time_per_output_token_seconds", 0.5, 0.95), about="Streams only."),
    Panel("Response time", "s", _quantiles("e2e_request_latency_seconds", 0.5, 0.95, 0.99)),
    Panel("Added by the proxy", "s", _quantiles("proxy_overhead_seconds", 0.5, 0.99)),
    Panel(
        "Tokens in and out, all requests together",
        "tokens/s",
        (
            (_rate("prompt_tokens_total", "model"), "{{model}} in"),
            (_rate("generation_tokens_total", "model"), "{{model}} out"),
        ),
    ),
    Panel("Requests by model", "reqps", ((_rate("requests_total", "model"), "{{model}}"),)),
    Panel(
        "Cost per hour by model",
        "currencyUSD",
        ((f"{_rate('cost_usd_total', 'model')} * {_HOUR}", "{{model}}"),),
        about="As priced when each request ended.",
    ),
    Panel(
        "Prompt cache hit rate by model",
        "percentunit",
        (
            (
                f"{_rate('cached_tokens_total', 'model')} / ({_rate('cache_prompt_tokens_total', 'model')} > 0)",
                "{{model}}",
            ),
        ),
        about="Of input tokens whose server says how many came from its cache.",
    ),
    Panel(
        "Saved by prompt caches per hour",
        "currencyUSD",
        (
            (
                f"({_SAVED} - {_SURCHARGE}) * {_HOUR}",
                "{{model}}",
            ),
        ),
        about="What writing to a cache costs more is taken off.",
    ),
    Panel(
        "Busy servers",
        "percentunit",
        ((_rate("backend_busy_seconds_total", "backend"), "{{backend}}"),),
        about="Share of the time in which a server had requests open; counted when they end.",
    ),
    Panel(
        "Requests at an unknown price",
        "reqps",
        ((_rate("cost_unknown_requests_total", "model"), "{{model}}"),),
        about="Local models have no price.",
    ),
    Panel("Finish reasons", "reqps", ((_rate("request_success_total", "finished_reason"), "{{finished_reason}}"),)),
    Panel("Streamed and not", "reqps", ((_rate("requests_total", "streaming"), "streaming {{streaming}}"),)),
    Panel(
        "Error budgets",
        "percentunit",
        (("llm_proxy_slo_error_budget_left_ratio", "{{slo}}"),),
        about="What is left of each objective's budget; below 0 it is overdrawn.",
    ),
    Panel(
        "Objectives",
        "percentunit",
        (("llm_proxy_slo_good_ratio", "{{slo}}"), ("llm_proxy_slo_objective_ratio", "{{slo}} objective")),
    ),
    Panel("Alerts", "none", (("max by (alert) (llm_proxy_alert_firing)", "{{alert}}"),), about="1 while it fires."),
    Panel(
        "Servers",
        "none",
        (
            ("min by (backend_name) (llm_proxy_backend_up)", "{{backend_name}} up"),
            ("sum by (backend_name) (llm_proxy_backend_open_requests)", "{{backend_name}} open"),
        ),
        about="Servers that have a name in the settings.",
    ),
    Panel(
        "Workers",
        "none",
        (
            ("llm_proxy_worker_up", "worker {{worker}} up"),
            ("llm_proxy_open_connections", "worker {{worker}} connections"),
        ),
    ),
    Panel(
        "Journal",
        "bytes",
        (
            ("sum(llm_proxy_journal_bytes)", "on disk"),
            ("max(llm_proxy_journal_lag_bytes)", "not in the database yet"),
        ),
    ),
    Panel(
        "Records lost",
        "none",
        (
            ("sum(increase(llm_proxy_records_dropped_total[$__range]))", "dropped"),
            ("sum(increase(llm_proxy_records_rejected_total[$__range]))", "rejected"),
        ),
        about="Over the range that is shown; both should stay at 0.",
    ),
)
VARIABLES: Final = (("model", "llm_proxy_requests_total", "model"), ("backend", "llm_proxy_requests_total", "backend"))


def dashboard() -> dict[str, Any]:
    """The whole document."""
    panels, x, y = [], 0, 0
    for number, panel in enumerate(PANELS, 1):
        height = 4 if panel.kind == "stat" else 8
        panels.append(_panel(number, panel, {"h": height, "w": panel.width, "x": x, "y": y}))
        x += panel.width
        if x >= _WIDTH:
            x, y = 0, y + height
    return {
        "title": "LLM Metrics Proxy",
        "uid": "llm-metrics-proxy",
        "tags": ["llm"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_source_variable(), *(_variable(*each) for each in VARIABLES)]},
        "panels": panels,
    }


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
            for index, (query, legend) in enumerate(panel.queries)
        ],
    }


def _source_variable() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _variable(name: str, metric: str, label: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": f"label_values({metric}, {label})", "refId": name},
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def text() -> str:
    """As it stands in the file."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
