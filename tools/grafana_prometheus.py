"""The panels of the dashboard for Prometheus.

``python -m tools.make_dashboard`` writes it. A test runs every query in Debian's Prometheus, which scrapes this
program.
"""

from typing import Any, Final

from tools.grafana import GrafanaSource, Panel, Row, Variable


def _target(query: tuple[str, str], _: Panel) -> dict[str, Any]:
    """``query``: PromQL and legend. Exemplars are asked for where there are some: of histograms."""
    exemplars = {"exemplar": True} if "histogram_quantile" in query[0] else {}
    return {"expr": query[0], "legendFormat": query[1], **exemplars}


SOURCE: Final = GrafanaSource("prometheus", "Prometheus", _target)
_SELECTED: Final = '{model=~"$model",backend=~"$backend"}'


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

PANELS: Final[tuple[Panel | Row, ...]] = (
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
    Row("Times"),
    Panel(
        "Time to first token", "s", _quantiles("time_to_first_token_seconds", 0.5, 0.95, 0.99), about="Streams only."
    ),
    Panel("Time per output token", "s", _quantiles("time_per_output_token_seconds", 0.5, 0.95), about="Streams only."),
    Panel("Response time", "s", _quantiles("e2e_request_latency_seconds", 0.5, 0.95, 0.99)),
    Panel("Added by the proxy", "s", _quantiles("proxy_overhead_seconds", 0.5, 0.99)),
    Row("Tokens, caches and cost"),
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
        "Tokens read from and written to prompt caches",
        "tokens/s",
        (
            (_rate("cached_tokens_total", "model"), "{{model}} read"),
            (_rate("cache_write_tokens_total", "model"), "{{model}} written"),
        ),
        about="As servers report them.",
    ),
    Panel(
        "Requests at an unknown price",
        "reqps",
        ((_rate("cost_unknown_requests_total", "model"), "{{model}}"),),
        about="Local models have no price.",
    ),
    Row("How requests went"),
    Panel("Finish reasons", "reqps", ((_rate("request_success_total", "finished_reason"), "{{finished_reason}}"),)),
    Panel("Streamed and not", "reqps", ((_rate("requests_total", "streaming"), "streaming {{streaming}}"),)),
    Row("Objectives, alerts and budgets"),
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
        "Budgets, used in this period",
        "percentunit",
        (("llm_proxy_budget_used_ratio", "{{budget}} {{value}}"),),
        about="Of budgets for each value the twenty that used most.",
    ),
    Panel(
        "Budgets at the end of the period, at the rate of late",
        "percentunit",
        (("llm_proxy_budget_projected_ratio", "{{budget}} {{value}}"),),
    ),
    Panel(
        "Budgets and their use",
        "none",
        (
            ("llm_proxy_budget_used", "{{budget}} {{value}} used ({{unit}})"),
            ("llm_proxy_budget_limit", "{{budget}} {{value}} limit ({{unit}})"),
        ),
        about="US dollars or tokens.",
    ),
    Row("Limits of servers and subscriptions"),
    Panel(
        "Left of limits",
        "percentunit",
        (("min by (backend, limit, api_key_id) (llm_proxy_quota_left_ratio)", "{{backend}} {{limit}} {{api_key_id}}"),),
        about="Until each limit's reset, in the server's own words.",
    ),
    Panel(
        "Left of limits at their reset, at the rate of late",
        "percentunit",
        (("llm_proxy_quota_left_at_reset_ratio", "{{backend}} {{limit}} {{api_key_id}}"),),
        about="Below 0 a limit is used up before its reset.",
    ),
    Panel(
        "Limits are used up in",
        "s",
        (("llm_proxy_quota_runs_out_timestamp_seconds - time()", "{{backend}} {{limit}} {{api_key_id}}"),),
        about="At the rate of late; perhaps after the reset.",
    ),
    Panel(
        "Limits begin anew in",
        "s",
        (("llm_proxy_quota_reset_timestamp_seconds - time()", "{{backend}} {{limit}} {{api_key_id}}"),),
    ),
    Row("Servers, by their own numbers"),
    Panel(
        "Requests in servers",
        "none",
        (
            ("llm_proxy_server_requests_running", "{{backend_name}} running"),
            ("llm_proxy_server_requests_waiting", "{{backend_name}} waiting"),
            ("llm_proxy_server_slots", "{{backend_name}} at once"),
        ),
        about="Servers that are asked for numbers of their own.",
    ),
    Panel(
        "KV caches of servers",
        "percentunit",
        (("llm_proxy_server_kv_cache_usage_ratio", "{{backend_name}}"),),
    ),
    Panel(
        "Models in servers' memory",
        "none",
        (("llm_proxy_server_models_loaded", "{{backend_name}}"),),
    ),
    Panel(
        "Servers that answer",
        "none",
        (("llm_proxy_server_up", "{{backend_name}}"),),
        about="1: it answered when it was last asked for its numbers.",
    ),
    Panel(
        "GPUs at work",
        "percentunit",
        (("llm_proxy_gpu_utilization_ratio", "{{gpu}}"),),
        about="Of this machine, if it has any that tell.",
    ),
    Panel(
        "Memory of GPUs",
        "bytes",
        (("llm_proxy_gpu_memory_used_bytes", "{{gpu}} used"), ("llm_proxy_gpu_memory_bytes", "{{gpu}} all")),
    ),
    Row("The proxy itself"),
    Panel(
        "Busy servers",
        "percentunit",
        ((_rate("backend_busy_seconds_total", "backend"), "{{backend}}"),),
        about="Share of the time in which a server had requests open; counted when they end.",
    ),
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
            ("sum(increase(llm_proxy_records_lost_total[$__range]))", "lost"),
        ),
        about="Over the range that is shown; all should stay at 0.",
    ),
)
METRIC: Final = "llm_proxy_requests_total"  # whose labels the variables offer
VARIABLES: Final = tuple(
    Variable(label, {"query": f"label_values({METRIC}, {label})", "refId": label}, ".*")
    for label in ("model", "backend")
)
