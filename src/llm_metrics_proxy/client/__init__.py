"""A Python client of the metrics API, for notebooks and programs.

    from llm_metrics_proxy.client import MetricsClient

    with MetricsClient("http://127.0.0.1:8002") as metrics:
        metrics.query("requests,response_time_ms.p95", by="model", since="24h").to_polars()

``MetricsClient`` waits, ``AsyncMetricsClient`` is awaited; both ask the same ``questions``. Answers are the frozen
values that the API itself answers with; those that are tables become Arrow, Polars or pandas. Imports the definitions
of questions and answers, and nothing that knows a store.
"""

from llm_metrics_proxy.client.answers import ExportedRecords, QueryResult, RecordPage, SessionTable
from llm_metrics_proxy.client.awaited import AsyncMetricsClient
from llm_metrics_proxy.client.questions import RecordSelection
from llm_metrics_proxy.client.waiting import MetricsClient
from llm_metrics_proxy.errors import (
    ApiRefusedError,
    ApiUnreachableError,
    MissingExtraError,
    QueryError,
    UnknownAnswerError,
)

__all__ = [
    "ApiRefusedError",
    "ApiUnreachableError",
    "AsyncMetricsClient",
    "ExportedRecords",
    "MetricsClient",
    "MissingExtraError",
    "QueryError",
    "QueryResult",
    "RecordPage",
    "RecordSelection",
    "SessionTable",
    "UnknownAnswerError",
]
