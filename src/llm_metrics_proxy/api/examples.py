"""Examples of answers for the OpenAPI document, by path, made from the types of real ones."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from llm_metrics_proxy.analytics.answering import columns
from llm_metrics_proxy.analytics.distribution import SHOWN, Bin, DistributionQuery, Histogram
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.heatmap import Heatmap, HeatmapQuery
from llm_metrics_proxy.analytics.measures import FIELDS
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.result import Key, Measured, Result, ResultRow
from llm_metrics_proxy.api.change_examples import changes
from llm_metrics_proxy.api.session_examples import session_detail, session_page
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.wire.error_types import TAXONOMY

_START, _MIDDLE, _END = (datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in (12, 13, 14))
_RANGE: Final = RequestFilter(start=_START, end=_END)
_METRICS: Final = ("requests", "success_rate", "response_time_ms.p95")
_BEFORE: Final = {"requests": 40.0, "success_rate": 1.0, "response_time_ms.p95": 1800.0}


def _row(key: dict[str, Key], requests: int, rate: float, p95_ms: float, *, before: bool = False) -> ResultRow:
    values = {}
    for name, value in zip(_METRICS, (requests, rate, p95_ms), strict=True):
        previous = _BEFORE[name]
        moved = (value - previous) / previous
        more: dict[str, Any] = {"previous": previous, "previous_n": 40, "change": moved} if before else {}
        values[name] = Measured(value=value, n=requests, coverage=1.0, **more)
    return ResultRow(key=key, values=values)


def _result(query: Query, rows: list[ResultRow]) -> Result:
    return Result(
        app_version=APP_VERSION,
        query=query,
        start=_START,
        end=_END,
        previous_start=datetime(2026, 3, 1, 10, tzinfo=UTC) if query.compare else None,
        timezone=query.timezone,
        bucket=query.bucket,
        source="records",
        relative_error=0.0,
        records=sum(row.values["requests"].n for row in rows),
        columns=columns(query),
        rows=rows,
    )


def _over_time(*, limit: int) -> Result:
    query = Query(metrics=_METRICS, group_by=("time",), filter=_RANGE, bucket="hour", limit=limit)
    rows = [
        _row({"time": "2026-03-01T12:00:00Z"}, 30, 0.9, 2100.0),
        _row({"time": "2026-03-01T13:00:00Z"}, 20, 1.0, 1650.0),
    ]
    return _result(query, rows)


def _by_model() -> Result:
    query = Query(metrics=_METRICS, group_by=("model",), filter=_RANGE)
    rows = [_row({"model": "llama3.1:8b"}, 45, 0.95, 1900.0), _row({"model": "qwen3:32b"}, 5, 0.8, 5200.0)]
    return _result(query, rows)


def _compared() -> Result:
    query = Query(metrics=_METRICS, filter=_RANGE, compare=True)
    return _result(query, [_row({}, 50, 0.94, 2070.0, before=True)])


def _histogram() -> Histogram:
    query = DistributionQuery(filter=_RANGE)
    field = FIELDS[query.metric]
    counts = ((700.0, 1000.0, 10), (1000.0, 1500.0, 30), (1500.0, 2000.0, 10))
    return Histogram(
        app_version=APP_VERSION,
        query=query,
        unit=field.unit,
        meaning=field.meaning,
        start=_START,
        end=_END,
        source="records",
        relative_error=0.0,
        records=50,
        n=50,
        coverage=1.0,
        mean=1240.0,
        min=710.0,
        max=1990.0,
        percentiles={f"p{percent}": 710.0 + 12.8 * float(percent) for percent in SHOWN},
        bins=[Bin(start=start, end=end, n=n, share=n / 50) for start, end, n in counts],
    )


def _heatmap() -> Heatmap:
    query = HeatmapQuery(x="time", y="model", filter=_RANGE, bucket="hour")
    cells = [[Measured(value=n, n=n, coverage=1.0) if n else None for n in line] for line in ((25, 20), (5, 0))]
    return Heatmap(
        app_version=APP_VERSION,
        query=query,
        start=_START,
        end=_END,
        bucket="hour",
        source="records",
        relative_error=0.0,
        records=50,
        left_out=0,
        columns=columns(query.as_query())[:3],
        x=[f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (_START, _MIDDLE)],
        y=["llama3.1:8b", "qwen3:32b"],
        cells=cells,
    )


def _errors_example() -> dict[str, Any]:
    """Two errors among forty requests of one minute, in the shape and words of a real answer."""
    limited, gone = (next(row for row in TAXONOMY if row.type == name) for name in ("rate_limit", "connect_refused"))
    server = {"backend_name": "gpu-1", "backend": "10.0.0.5:8000"}
    counted = {"n": 1, "share": 0.025}
    times = {limited.type: "2026-03-01T12:00:41.118802Z", gone.type: "2026-03-01T12:00:03.250114Z"}
    return {
        "app_version": APP_VERSION,
        "filter": msgspec.json.decode(msgspec.json.encode(RequestFilter(model="llama3.1:8b"))),
        "source": "records",
        "pruned_before": None,
        "first_timestamp": "2026-03-01T12:00:00.104220Z",
        "last_timestamp": "2026-03-01T12:00:59.918330Z",
        "requests": 40,
        "errors": 2,
        "share": 0.05,
        "unclassified": 0,
        "history": None,
        "categories": [{"category": row.category, **counted} for row in (limited, gone)],
        "types": [
            {
                "category": row.category,
                "type": row.type,
                "meaning": row.meaning,
                "advice": row.advice,
                **counted,
                "newest": times[row.type],
            }
            for row in (limited, gone)
        ],
        "phases": [{"phase": phase, **counted} for phase in ("before_first_token", "connect")],
        "models": [{"model": "llama3.1:8b", "n": 2, "requests": 40, "share": 0.05}],
        "backends": [{**server, "n": 2, "requests": 40, "share": 0.05}],
        "further_errors": {},
        "bucket_s": 60,
        "buckets": [{"start": "2026-03-01T12:00:00Z", "n": 2, "requests": 40, "share": 0.05}],
        "retry": [
            {
                **server,
                "model": "llama3.1:8b",
                "n": 1,
                "newest": times[limited.type],
                "wait_ms": 2000.0,
                "wait_source": "retry_after",
                "not_before": "2026-03-01T12:00:43.125Z",
                "retry_after_n": 1,
                "retry_after_max_ms": 2000.0,
                "ratelimit_limit_requests": 60.0,
                "ratelimit_remaining_requests": 0.0,
                "ratelimit_reset_requests_ms": 2000.0,
                "ratelimit_limit_tokens": None,
                "ratelimit_remaining_tokens": None,
                "ratelimit_reset_tokens_ms": None,
                "advice": "Wait 2 s, as the newest Retry-After says; 1 of 1 limited answers have one, the longest 2 s.",
            }
        ],
        "examples": [
            {
                "arrival": 40,
                "host": "gpu-1",
                "request_id": "5b1c27f80f0a4d0d9f5e8c1f2a3b4c5d",
                "timestamp": times[limited.type],
                "model": "llama3.1:8b",
                **server,
                "status_code": 429,
                "upstream_status_code": 429,
                "outcome": "upstream_error",
                "error_category": limited.category,
                "error_type": limited.type,
                "error_phase": "before_first_token",
                "message": "Rate limit reached.",
            }
        ],
    }


EXAMPLES: Final[dict[str, Any]] = {
    "/api/v1/errors": _errors_example(),
    **{
        path: msgspec.to_builtins(answer)
        for path, answer in {
            "/api/v1/query": _over_time(limit=100),
            "/api/v1/timeseries": _over_time(limit=10),
            "/api/v1/breakdown": _by_model(),
            "/api/v1/compare": _compared(),
            "/api/v1/changes": changes(_START, _END),
            "/api/v1/distribution": _histogram(),
            "/api/v1/heatmap": _heatmap(),
            "/api/v1/sessions": session_page(),
            "/api/v1/sessions/{session_id}": session_detail(),
        }.items()
    },
}
