"""The versions that matter in a bug report."""

import platform
import re
from importlib import metadata

import apsw

from llm_metrics_proxy.metrics_service import APP_VERSION


def libraries() -> tuple[str, ...]:
    """Names of the libraries that an installation brings; none where it runs from sources alone."""
    try:
        required = metadata.requires("llm-metrics-proxy") or []
    except metadata.PackageNotFoundError:
        return ()
    return tuple(sorted({re.split(r"[^A-Za-z0-9_.-]", each, maxsplit=1)[0] for each in required}))


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
