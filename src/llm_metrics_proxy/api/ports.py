"""What the API is given by the composition root."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.scoreboard import Scoreboard
from llm_metrics_proxy.storage.base import Reader


class ServiceStatus(Protocol):
    """How the ingestion of records fares, at one moment."""

    @property
    def records_ingested(self) -> int:
        """Records committed since this process started."""

    @property
    def records_rejected(self) -> int:
        """Records that the database could not hold; they are kept in a side file of the journal."""

    @property
    def open_requests(self) -> int:
        """Requests that were opened and not yet closed, as far as the journal has been read."""

    @property
    def lag_bytes(self) -> int:
        """Journal bytes written and not yet committed to the database."""

    @property
    def lag_ms(self) -> float | None:
        """How far the database is behind; none or 0 where nothing waits."""

    @property
    def last_error(self) -> str | None:
        """Why the last attempt failed; none while attempts succeed."""

    @property
    def damaged_bytes(self) -> int:
        """Journal bytes whose checksum did not hold; what they recorded is lost."""

    @property
    def torn_frames(self) -> int:
        """Last frames cut by a crash; normal."""

    @property
    def unknown_frames(self) -> int:
        """Frames of kinds that only a newer program writes."""

    @property
    def last_commit_unix_ms(self) -> int | None:
        """When the last batch was committed."""


@dataclass(frozen=True)
class ApiPorts:
    """``token``: bearer token that every path but /health and /ready needs; none: no token is asked for.
    ``allowed_hosts``: where there is no token, the names that the header Host may have beside IP addresses and
    localhost, which always are allowed; see ``guard``.

    ``service_status`` gives ``None`` until ingestion runs and after it has stopped. ``scoreboard`` is ``None`` where
    the workers run on another host. ``versions`` names other versions to show, such as Python's and SQLite's.
    """

    reader: Reader
    book: CounterBook
    service_status: Callable[[], ServiceStatus | None]
    scoreboard: Scoreboard | None = None
    token: str | None = None
    allowed_hosts: frozenset[str] = frozenset()
    versions: Mapping[str, str] = field(default_factory=dict)
    clock: Callable[[], float] = time.time  # Unix seconds
