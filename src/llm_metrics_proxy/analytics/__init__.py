"""Questions about records: a query is a frozen value, answered by a frozen result.

Metrics are defined once, in ``measures``. Nothing here knows which engine answers: it sees ``records.Records``.
"""

from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.distribution import DistributionQuery, Histogram, distribute
from llm_metrics_proxy.analytics.error_answer import Errors
from llm_metrics_proxy.analytics.errors import MAX_EXAMPLES, ErrorsQuery, read_errors
from llm_metrics_proxy.analytics.filters import WORDS, RequestFilter, parse_time
from llm_metrics_proxy.analytics.heatmap import Heatmap, HeatmapQuery, map_heat
from llm_metrics_proxy.analytics.migrations import KnownMigration, MigrationRun
from llm_metrics_proxy.analytics.notices import Notice, notices
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.analytics.requests import MAX_LIMIT, Page, get_request, list_requests
from llm_metrics_proxy.analytics.result import Result
from llm_metrics_proxy.analytics.retry_advice import RetryAdvice
from llm_metrics_proxy.analytics.slos import Slo, parse_slo
from llm_metrics_proxy.analytics.summary import CostSum, Distribution, ErrorCount, Summary, TokenSum, summarise
from llm_metrics_proxy.analytics.versions import VERSION_HISTORY, VersionNote, records_by_version

__all__ = [
    "MAX_EXAMPLES",
    "MAX_LIMIT",
    "VERSION_HISTORY",
    "WORDS",
    "CostSum",
    "Distribution",
    "DistributionQuery",
    "ErrorCount",
    "Errors",
    "ErrorsQuery",
    "Heatmap",
    "HeatmapQuery",
    "Histogram",
    "KnownMigration",
    "MigrationRun",
    "Notice",
    "Page",
    "Query",
    "Records",
    "RequestFilter",
    "Result",
    "RetryAdvice",
    "Slo",
    "Summary",
    "TokenSum",
    "VersionNote",
    "ask",
    "distribute",
    "get_request",
    "list_requests",
    "map_heat",
    "notices",
    "parse_slo",
    "parse_time",
    "read_errors",
    "records_by_version",
    "summarise",
]
