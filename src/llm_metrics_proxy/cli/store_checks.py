"""What ``doctor`` looks at in a store on the network, and in what waits for it."""

from contextlib import closing
from typing import Final

from llm_metrics_proxy.cli.finding import Finding, failed, ok, warning
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.store_access import store_access
from llm_metrics_proxy.engines import report_of
from llm_metrics_proxy.errors import LlmMetricsProxyError, SettingsError, StoreBusyError
from llm_metrics_proxy.storage.sqlite import SqliteReader
from llm_metrics_proxy.storage.sqlite_schema import applied_steps

_STORE: Final = "store"
_OUTBOX: Final = "outbox"
_MOST_AHEAD_S: Final = 2.0
_MOST_NAMED: Final = 10
_LEAST_FREE: Final = 1024**3
_LOOK_THERE: Final = "do what the reason says; the server tries again by itself (system.mutations)"
_WORTH_TELLING: Final = 0.5  # of the outbox's size


def store(settings: Settings) -> Finding:
    """Can the records be kept where `store` says: is it there, new enough, ours, and does its clock agree?"""
    try:
        access = store_access(settings)
        if access is None:
            return ok(_STORE, "records are kept in the database")
        found = report_of(access)
    except SettingsError as error:
        return failed(_STORE, str(error), "do what the message says")
    except StoreBusyError as error:
        return failed(_STORE, str(error), "start it, or correct --store; meanwhile records wait, and none is lost")
    except LlmMetricsProxyError as error:
        return failed(_STORE, str(error), "do what the message says; meanwhile records wait, and none is lost")
    hosts = ", ".join(f"{each.host or 'unknown'} {each.records:,}" for each in found.hosts[:_MOST_NAMED])
    more = f" and {len(found.hosts) - _MOST_NAMED} hosts more" if len(found.hosts) > _MOST_NAMED else ""
    records = f"records by host: {hosts}{more}" if hosts else "no record yet"
    words = (
        f"{access.address}: version {found.version} on {found.name}, {_mib(found.size)} in {found.parts:,} parts, "
        f"{records}; {_mib(found.disk_free)} are free there"
    )
    if found.failing:
        return warning(_STORE, f"{words}; it cannot change stored records: {'; '.join(found.failing)}", _LOOK_THERE)
    if found.changing:
        words += f"; it is changing stored records: {'; '.join(found.changing)}"
    if len(set(found.asked_days.values())) > 1:
        asked = ", ".join(f"{host} {days or 'for ever'}" for host, days in sorted(found.asked_days.items()))
        kept = f"{found.kept_days} days" if found.kept_days else "for ever"
        words += f"; it keeps records {kept}, the longest that a host asks for (days: {asked})"
        return warning(_STORE, words, "give all hosts the same retention_days; each tells its own when it starts")
    if abs(found.clock_ahead_s) > _MOST_AHEAD_S:
        words += f"; its clock is {found.clock_ahead_s:+.1f} s off ours"
        return warning(_STORE, words, "set both clocks (NTP): it deletes old records by its own")
    if found.disk_free < _LEAST_FREE:
        return warning(_STORE, words, "make room on its disk")
    return ok(_STORE, words)


def outbox(settings: Settings) -> Finding:
    """Do records wait for the store?"""
    try:
        if not settings.db_path.exists() or not applied_steps(settings.db_path):
            return ok(_OUTBOX, "nothing waits")
        with closing(SqliteReader(settings.db_path)) as reader:
            ((records, size),) = reader.query("SELECT coalesce(sum(records), 0), coalesce(sum(bytes), 0) FROM outbox")
    except LlmMetricsProxyError:
        return ok(_OUTBOX, "nothing is known")  # the check `database` says what is wrong with it
    if not records:
        return ok(_OUTBOX, "nothing waits")
    words = f"{records:,} records ({_mib(size)} of at most {_mib(settings.store_outbox_bytes)}) wait for the store"
    if store_access(settings) is None:
        return warning(
            _OUTBOX, words, "set --store to ClickHouse again: they were recorded for it and are nowhere else"
        )
    if size > _WORTH_TELLING * settings.store_outbox_bytes:
        return warning(
            _OUTBOX, words, "the check `store` says why they wait; beyond that size they wait in the journal"
        )
    return ok(_OUTBOX, words)


def _mib(count: int) -> str:
    return f"{count / 1024**2:,.1f} MiB"
