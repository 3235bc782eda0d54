"""What an installation may lack: the extras of the package, ``llm-metrics-proxy[clickhouse]`` and the like.

Each is large or for few, and is asked for by name before it is imported, so that who lacks it reads how to get it.
"""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Final, Literal

from llm_metrics_proxy.errors import MissingExtraError

ExtraName = Literal["clickhouse", "mcp", "otlp", "parquet"]
# An extra, and the distribution that tells whether it is installed. pyproject.toml says what else belongs to it.
EXTRAS: Final[Mapping[ExtraName, str]] = MappingProxyType(
    {
        "clickhouse": "clickhouse-connect",
        "mcp": "mcp",
        "otlp": "opentelemetry-exporter-otlp-proto-http",
        "parquet": "pyarrow",
    }
)


def is_installed(distribution: str) -> bool:
    """Looked up among what is installed, without an import."""
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def need(extra: ExtraName, purpose: str) -> None:
    """``purpose``: what cannot be done without it, as the beginning of a sentence. Raises ``MissingExtraError``."""
    if not is_installed(EXTRAS[extra]):
        raise MissingExtraError(
            f"{purpose} needs the package {EXTRAS[extra]}, which is not installed: "
            f"pip install 'llm-metrics-proxy[{extra}]'"
        )
