"""The versions that matter in a bug report."""

import platform
from importlib import metadata

import apsw

from llm_metrics_proxy.metrics_service import APP_VERSION


def versions() -> dict[str, str]:
    """Name and version of everything that matters in a bug report."""
    return {
        "app_version": APP_VERSION,
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "uvloop": metadata.version("uvloop"),
        "httptools": metadata.version("httptools"),
        "platform": platform.platform(),
    }
