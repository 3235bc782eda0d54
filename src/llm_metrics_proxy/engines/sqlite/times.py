"""Times of records as SQLite keeps them: text as ``filters.stored_time`` writes it, whose order is that of time."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from llm_metrics_proxy.engines.sqlite.conditions import TABLE
from llm_metrics_proxy.storage.base import Snapshot

# of one SELECT with both, SQLite would walk over all of them
_ENDS: Final = f"SELECT (SELECT min(timestamp) FROM {TABLE}), (SELECT max(timestamp) FROM {TABLE})"  # noqa: S608


def ends(now: Snapshot) -> tuple[str | None, str | None]:
    """The oldest and the newest time stored."""
    ((oldest, newest),) = now.query(_ENDS)
    return oldest, newest


def whole_second(stored: str) -> datetime:
    """The second in which it lies."""
    return datetime.fromisoformat(stored).astimezone(UTC).replace(microsecond=0)


def unix_s(stored: str) -> int:
    """Its Unix second."""
    return int(whole_second(stored).timestamp())


def with_seconds(times: Mapping[str, Any]) -> dict[str, Any]:
    """``oldest`` and ``newest`` with ``first_s`` and ``last_s`` beside them; others as they are."""
    of = {"first_s": times.get("oldest"), "last_s": times.get("newest")}
    return {**times, **{name: unix_s(stored) for name, stored in of.items() if stored is not None}}
