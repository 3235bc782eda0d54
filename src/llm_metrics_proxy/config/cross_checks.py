"""Rules between settings: each names the setting that is wrong, and says why."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from llm_metrics_proxy.config.backends import MAX_BACKENDS
from llm_metrics_proxy.config.tokens import MOST as MOST_TOKENS
from llm_metrics_proxy.config.types import faults_among
from llm_metrics_proxy.config.watch import MOST
from llm_metrics_proxy.doors import is_loopback
from llm_metrics_proxy.store_address import SQLITE

_EVERY_ADDRESS: Final = {"0.0.0.0", "::"}  # noqa: S104 -- compared with, not bound to


class CheckedSettings(Protocol):
    """What the rules look at of ``config.settings``, which imports them."""

    @property
    def backend(self) -> Any: ...
    @property
    def backends(self) -> Any: ...
    @property
    def metrics_role(self) -> str: ...
    @property
    def tokens(self) -> Any: ...

    host: str
    port: int
    insecure: bool
    journal_max_bytes: int
    journal_segment_bytes: int
    metrics_host: str
    metrics_port: int
    metrics_token: Any
    retention_max_bytes: int
    store: str
    store_password: Any
    store_password_file: Any


class CrossCheck(NamedTuple):
    """A rule between settings. ``setting`` is the one that is named first; ``fields`` are all that matter to it."""

    setting: str
    fields: tuple[str, ...]
    fault: Callable[[CheckedSettings], str | None]


def _metrics_are_guarded(settings: CheckedSettings) -> str | None:
    if is_loopback(settings.metrics_host) or settings.metrics_token or settings.insecure:
        return None
    return "can be reached from other machines: set metrics_token too, or insecure if everyone may read the metrics"


def _ports_differ(settings: CheckedSettings) -> str | None:
    hosts = {settings.host, settings.metrics_host}
    apart = len(hosts) == 2 and not hosts & _EVERY_ADDRESS
    if settings.port != settings.metrics_port or settings.port == 0 or apart:
        return None
    return "is the proxy's port already: choose another"


def _tokens_need_the_whole_one(settings: CheckedSettings) -> str | None:
    if not settings.tokens or settings.metrics_token:
        return None
    return "each see some records, and without metrics_token everybody sees all of them: set metrics_token too"


def _segments_fit(settings: CheckedSettings) -> str | None:
    if settings.journal_segment_bytes <= settings.journal_max_bytes:
        return None
    return f"must be at least journal_segment_bytes ({settings.journal_segment_bytes})"


def _one_way_to_name_backends(settings: CheckedSettings) -> str | None:
    if settings.backend is None or not settings.backends:
        return None
    return "names one server, and `backends` in the file names others: give the one or the other"


def _one_password(settings: CheckedSettings) -> str | None:
    if settings.store_password is None or settings.store_password_file is None:
        return None
    return "is given, and store_password too: give the one or the other"


def _is_of_a_server(setting: str) -> Callable[[CheckedSettings], str | None]:
    def fault(settings: CheckedSettings) -> str | None:
        if settings.store != SQLITE or getattr(settings, setting) is None:
            return None
        return "is for ClickHouse, and store is sqlite: set store, or take this away"

    return fault


def _is_of_sqlite(settings: CheckedSettings) -> str | None:
    if settings.store == SQLITE or not settings.retention_max_bytes:
        return None
    return "is for SQLite, and store names ClickHouse: take it away, and set retention_days"


def _has_one_role(settings: CheckedSettings) -> str | None:
    if settings.store != SQLITE or settings.metrics_role == "both":
        return None
    return "is for ClickHouse, and store is sqlite: one process stores and answers there"


def _names_differ(tables: str, most: int, noun: str = "") -> Callable[[CheckedSettings], str | None]:
    return lambda settings: faults_among([table.name for table in getattr(settings, tables)], most, noun)


CROSS_CHECKS: Final = (
    CrossCheck("slos", ("slos",), _names_differ("slos", MOST)),
    CrossCheck("alerts", ("alerts",), _names_differ("alerts", MOST)),
    CrossCheck("budgets", ("budgets",), _names_differ("budgets", MOST)),
    CrossCheck("backend", ("backend", "backends"), _one_way_to_name_backends),
    CrossCheck("backends", ("backends",), _names_differ("backends", MAX_BACKENDS, "backends ")),
    CrossCheck("tokens", ("tokens",), _names_differ("tokens", MOST_TOKENS)),
    CrossCheck("tokens", ("tokens", "metrics_token"), _tokens_need_the_whole_one),
    CrossCheck("metrics_host", ("metrics_host", "metrics_token", "insecure"), _metrics_are_guarded),
    CrossCheck("metrics_port", ("host", "port", "metrics_host", "metrics_port"), _ports_differ),
    CrossCheck("store_password_file", ("store_password", "store_password_file"), _one_password),
    CrossCheck("store_cluster", ("store", "store_cluster"), _is_of_a_server("store_cluster")),
    CrossCheck("metrics_role", ("store", "metrics_role"), _has_one_role),
    CrossCheck("store_backup", ("store", "store_backup"), _is_of_a_server("store_backup")),
    CrossCheck("retention_max_bytes", ("store", "retention_max_bytes"), _is_of_sqlite),
    CrossCheck("journal_max_bytes", ("journal_max_bytes", "journal_segment_bytes"), _segments_fit),
)
