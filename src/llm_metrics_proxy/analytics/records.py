"""What can be asked of stored records, whatever engine keeps them.

This is the seam between questions and engines. Planning, measures, ranking, pages, exports, the live tail, alerts and
reports use these protocols alone; ``engines`` has one implementation for each engine, and with it all SQL of records.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol

from llm_metrics_proxy.analytics.arrivals import ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.ordering import Order
from llm_metrics_proxy.analytics.source import Source

# Values of the columns asked for, in their order, as the neutral table ``record`` says what each holds: int, float, str
# or None; flags are 0 and 1; ``timestamp`` is text as ``filters.stored_time`` writes it; a column of any kind has what
# was first stored. Reports of usage are whole, however an engine keeps them.
Row = tuple[Any, ...]


class Only(StrEnum):
    """A condition that no filter has: only some of the selected records."""

    ERRORS = "errors"  # those with an error_category
    # Errors that say when to come back (retry_after_ms), or of category limit, except that waiting does not refill a
    # used-up quota (error_type) unless the server says so.
    LIMITED = "limited"


class Place(NamedTuple):
    """A record's place in the order of pages, (timestamp, host, arrival): where the next page goes on."""

    timestamp: str | None
    host: str | None
    arrival: int


class OrderedPlace(NamedTuple):
    """A record's place in another order: its value, then as ``Place``."""

    value: int | float | str | None
    place: Place


class Part(NamedTuple):
    """Some records of an export, perhaps none, and which share (0 to 1) of all there is to look through is done."""

    rows: list[Row]
    share: float


class Carried(NamedTuple):
    """How much of the history from before the table was made is in it. ``complete_from``: no older record is missing
    from then on; ``None``: that is not known yet. ``stopped``: why the rest is left behind; ``None``: it is not."""

    records: int
    of_records: int
    complete_from: datetime | None
    stopped: str | None = None


class SessionSums(NamedTuple):
    """All records of one session. Times are Unix microseconds; what is ``None`` no record has.

    ``ended_us``: when the last answer ended. ``hit_…``: of the records that report prompt and cached tokens.
    ``agents``: how many, the session's own among them. ``models``: names, sorted. ``app`` and ``user``: of its first
    record.
    """

    session_id: str
    requests: int
    errors: int
    first_us: int | None
    last_us: int | None
    ended_us: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    cached_tokens: int | None
    hit_cached_tokens: int | None
    hit_prompt_tokens: int | None
    hit_requests: int
    cost_usd: float | None
    cost_requests: int
    agents: int
    models: tuple[str, ...]
    app: str | None
    user: str | None


SESSION_ORDERS: Final = (
    "first_request", "last_request", "duration_ms", "requests", "errors", "prompt_tokens", "completion_tokens",
    "total_tokens", "cached_tokens", "cache_hit_ratio", "cost_usd", "agents", "models", "app", "user",
)  # fmt: skip


EVERY: Final = RequestFilter()


class SessionPlace(NamedTuple):
    """A session's place in a list: the value that the list is sorted by, as the engine has it, and the id."""

    value: int | float | str | None
    session_id: str


class SessionList(NamedTuple):
    """Which sessions: those with a selected record, whole. ``order``: of ``SESSION_ORDERS``; missing values are last,
    and equals by session_id. ``within``: there are no other records, for who asks."""

    selection: RequestFilter
    order: str
    descending: bool
    after: SessionPlace | None
    limit: int
    within: RequestFilter = EVERY


class Records(Protocol):
    """The reading side. Safe to use from several threads; every method raises ``StoreError``."""

    def sources(self) -> Sequence[Source]:
        """What answers plans, the best first; the last one reads the records themselves and can answer any."""

    def moment(self) -> AbstractContextManager["Records"]:
        """The same, as of one moment where the engine can do that: all questions of the block see the same records.
        For the thread that asked."""

    def page(
        self, selection: RequestFilter, names: Sequence[str], after: Place | None, limit: int, only: Only | None = None
    ) -> list[Row]:
        """The newest selected records behind ``after``: the latest time first, those without a time last; of one time
        by host and arrival, the greatest first, where hosts are told apart."""

    def get(self, names: Sequence[str], *, request_id: str | None = None, arrival: int | None = None) -> Row | None:
        """One record, by its request_id or its arrival; ``None``: there is none, or several hosts have that arrival."""

    def newest(self) -> Arrivals:
        """The last number of each host that has records."""

    def arrived(
        self, selection: RequestFilter, names: Sequence[str], within: ArrivalRange, limit: int, *, newest: bool = False
    ) -> list[Row]:
        """Selected records of a range in the order of (host, arrival): the first ``limit`` of them or, with ``newest``,
        the last ones that came."""

    def each(self, selection: RequestFilter, names: Sequence[str], within: ArrivalRange) -> Iterator[Part]:
        """Every selected record of a range once, in the order of (host, arrival), some thousands at a time.

        No snapshot is held between parts: a record that is changed meanwhile comes as it was or as it is, one that is
        deleted before its part is reached does not come.
        """

    def ordered(
        self, selection: RequestFilter, names: Sequence[str], order: Order, after: OrderedPlace | None, limit: int
    ) -> list[Row]:
        """The first selected records behind ``after`` by ``order``, as that says; of one value, and of those without
        one, in the order of pages. Each row has the value that it is sorted by behind its own."""

    def sessions(self, asked: SessionList) -> list[tuple[SessionPlace, SessionSums]]:
        """Sessions in the order that was asked for, each with its place in it."""

    def started_by(self, session_id: str, limit: int, within: RequestFilter = EVERY) -> list[str]:
        """Other sessions of which a selected record names this one as its parent, in the order of their ids."""

    def of_session(self, session_id: str, names: Sequence[str], limit: int, within: RequestFilter = EVERY) -> list[Row]:
        """The first selected records of a session that have a time, in the order of (timestamp, host, arrival)."""

    def epoch(self) -> int:
        """Another number whenever stored records were changed or removed, or older ones were carried over; new records
        leave it."""

    def kept_from(self) -> datetime | None:
        """From when on every record is still there; older ones were deleted by retention. ``None``: all are."""

    def carried(self) -> Carried | None:
        """How much history is there, while a migration carries it over or where it was left; ``None``: all of it."""

    def check(self) -> None:
        """Return at once if records can be read now, else raise."""

    def close(self) -> None:
        """Release every connection."""
