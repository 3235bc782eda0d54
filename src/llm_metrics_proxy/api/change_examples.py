"""The example of ``/api/v1/changes``: one model got slower, and one number moved by a shift alone."""

from datetime import datetime

from llm_metrics_proxy.analytics.change_search import RATE
from llm_metrics_proxy.analytics.changes import Changes, ChangesQuery, MovedSegment, Movement, ShiftedPart
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.metrics_service import APP_VERSION


def changes(start: datetime, end: datetime) -> Changes:
    """Of this range."""
    slower = MovedSegment(
        kind="change", metric="response_time_ms.mean", unit="ms", good=False, segment={"model": "qwen3:32b"},
        same=[{"app": "review-bot"}], explains=2, before=4100.0, after=5700.0, n_before=310, n=305, change=0.39,
        low=0.28, high=0.51, p=2.1e-7, by=None, parts=[],
        text="Response time of model qwen3:32b: 4.1 s before, 5.7 s now (+39.0%; n = 310 and 305).",
    )  # fmt: skip
    shift = MovedSegment(
        kind="shift", metric="cost_per_request_usd", unit="USD", good=False, segment={}, same=[], explains=0,
        before=0.002, after=0.0025, n_before=900, n=905, change=0.25, low=0.17, high=0.33, p=4.0e-6, by="model",
        parts=[ShiftedPart(value="qwen3:32b", share_before=0.2, share=0.34, added=0.0005)],
        text="Cost per request of all requests: +25.0% by a shift of traffic alone, not because anything works "
        "otherwise than before (model qwen3:32b 20% of requests before, 34% now).",
    )  # fmt: skip
    return Changes(
        app_version=APP_VERSION, query=ChangesQuery(filter=RequestFilter(start=start, end=end)), start=start, end=end,
        previous_start=start - (end - start), requests=1010, requests_before=1000, false_alarm_rate=RATE, tested=184,
        block_s=300, not_looked_at=[],
        overall=[
            Movement(
                metric="response_time_ms.mean", unit="ms", before=1900.0, after=2400.0, n_before=990, n=1001,
                change=0.263, p=0.0004, significant=True, by="model", within=460.0, mix=40.0,
            )
        ],
        changes=[slower, shift], text="2 things changed.",
    )  # fmt: skip
