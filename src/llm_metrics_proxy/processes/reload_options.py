"""What the process that reads the settings again is told, and which settings only a start can change."""

import hashlib
from typing import Any, Final

import msgspec
from pydantic import SecretStr

from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.processes.metrics_options import RELOADED_BY_METRICS
from llm_metrics_proxy.proxy.options import FIXED_AT_START, ProxyOptions

RELOADED: Final = frozenset(ProxyOptions.__struct_fields__) - frozenset(FIXED_AT_START) | frozenset(RELOADED_BY_METRICS)


class ReloadTold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the settings were given at start, to be given so again."""

    flags: dict[str, Any]
    config_file: str
    fixed: dict[str, str]  # see ``fixed_settings``
    log_level: str
    log_format: str


def fixed_settings(settings: Settings) -> dict[str, str]:
    """A digest of each setting that a reload does not change, so that a change can be told without keeping secrets."""
    return {name: _digest(getattr(settings, name)) for name in Settings.model_fields if name not in RELOADED}


def _digest(value: object) -> str:
    shown = value.get_secret_value() if isinstance(value, SecretStr) else repr(value)
    return hashlib.sha256(shown.encode()).hexdigest()
