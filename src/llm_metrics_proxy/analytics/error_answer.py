"""The shape of the answer about errors: counts with their shares, examples, and what to do. Frozen values only."""

from datetime import datetime
from typing import Final

import msgspec

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.history import History
from llm_metrics_proxy.analytics.retry_advice import RetryAdvice

MAX_MESSAGE_CHARS: Final = 200


class CategoryCount(msgspec.Struct, frozen=True, kw_only=True):
    """``n`` errors of a category; ``share`` of all requests selected, 0 to 1."""

    category: str
    n: int
    share: float | None


class TypeCount(msgspec.Struct, frozen=True, kw_only=True):
    """``n`` errors of a type, the time of the newest, what the type means and what to do about it."""

    category: str
    type: str | None
    n: int
    share: float | None
    newest: str | None
    meaning: str | None  # none for words that this program does not know
    advice: str | None


class PhaseCount(msgspec.Struct, frozen=True, kw_only=True):
    """``n`` errors that came in this phase of the request; ``None``: not known, or after its end."""

    phase: str | None
    n: int
    share: float | None


class ModelCount(msgspec.Struct, frozen=True, kw_only=True):
    """``n`` errors among the ``requests`` for a model; ``share`` is of these."""

    model: str | None
    n: int
    requests: int
    share: float | None


class BackendCount(msgspec.Struct, frozen=True, kw_only=True):
    """``n`` errors among the ``requests`` that a server was to answer; ``share`` is of these."""

    backend_name: str | None
    backend: str | None
    n: int
    requests: int
    share: float | None


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """Requests in the bucket that begins at ``start``, and ``n`` errors among them."""

    start: str
    n: int
    requests: int
    share: float | None


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """One error; ``message`` is cut to ``MAX_MESSAGE_CHARS``. The whole record is at /api/v1/requests/{request_id}."""

    arrival: int
    host: str | None
    request_id: str | None
    timestamp: str | None
    model: str | None
    backend_name: str | None
    backend: str | None
    status_code: int | None
    upstream_status_code: int | None
    outcome: str | None
    error_category: str | None
    error_type: str | None
    error_phase: str | None
    message: str | None


class Errors(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong among the selected records, the most frequent first. Missing is ``None``, never 0."""

    app_version: str  # whose definitions this answer follows
    filter: RequestFilter
    source: str  # of the counts. records; both: roll-ups, and records where those end
    pruned_before: datetime | None  # records of the range from before were deleted, and this answer lacks them
    first_timestamp: str | None  # of the oldest and newest record selected that is left: the range actually covered
    last_timestamp: str | None
    requests: int
    errors: int
    share: float | None  # errors / requests
    unclassified: int  # failed requests not in ``errors``: a migration has not classified them yet
    history: History | None = None  # older records that are not counted here yet; null: none is missing
    categories: list[CategoryCount]
    types: list[TypeCount]
    phases: list[PhaseCount]
    models: list[ModelCount]  # those with errors; each list has at most errors.MAX_GROUPS
    backends: list[BackendCount]
    further_errors: dict[str, int]  # errors that a list had no room for, by the list's name
    bucket_s: int | None  # how long a bucket is; none if there is no record with a readable time
    buckets: list[Bucket]  # oldest first, without gaps
    retry: list[RetryAdvice]
    examples: list[Example]  # newest first
