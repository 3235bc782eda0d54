"""Options of processes as tests give them: a setting that a test does not name has its default."""

from typing import Any, Final

import msgspec

from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.table import values_of
from llm_metrics_proxy.processes.metrics_options import MetricsOptions
from llm_metrics_proxy.processes.options import otlp_options as otlp_of
from llm_metrics_proxy.proxy.options import ProxyOptions
from llm_metrics_proxy.telemetry import OtlpOptions

DEFAULTS: Final = values_of(Settings(workers=1)) | {"listen_fds": [], "scoreboard_fd": None}
WORKER_DEFAULTS: Final = DEFAULTS | {
    "backend": "", "backends": [], "journal_dir": "", "secret_file": "", "worker_index": 0, "health_token": None,
}  # fmt: skip
_METRICS_DEFAULTS: Final = DEFAULTS | {
    "metrics_token": None, "store_password": "", "settings": [], "otlp": None, "prices": [], "slos": [], "alerts": [],
    "budgets": [], "tokens": [], "found_backend": "", "backends": [],
}  # fmt: skip


def worker_options(**given: Any) -> ProxyOptions:
    """Of a worker."""
    return ProxyOptions(**(WORKER_DEFAULTS | given))


def metrics_options(**given: Any) -> MetricsOptions:
    """Of the metrics process."""
    return MetricsOptions(**(_METRICS_DEFAULTS | given))


def otlp_options(endpoint: str, **given: Any) -> OtlpOptions:
    """Of telemetry."""
    defaults = otlp_of(Settings(otlp_endpoint=endpoint))
    assert defaults is not None
    return msgspec.structs.replace(defaults, **given)
