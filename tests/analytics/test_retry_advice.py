from typing import Any

import pytest

from llm_metrics_proxy.analytics import ErrorsQuery, RetryAdvice, read_errors
from llm_metrics_proxy.analytics.retry_advice import MAX_LIMITED
from tests.analytics.database import Database, a_record, a_row

TAKEN_MS = 250.0


def limited(seconds: float = 0, **changes: Any) -> tuple[Any, ...]:
    words: dict[str, Any] = {
        "success": False,
        "outcome": "upstream_error",
        "status_code": 429,
        "error_type": "rate_limit",
        "response_time_ms": TAKEN_MS,
        **changes,
    }
    category = words.pop("error_category", "limit")
    return a_row(a_record(seconds, **words), error_category=category)


def advice(database: Database) -> list[RetryAdvice]:
    return read_errors(database.records, ErrorsQuery()).retry


def test_the_newest_retry_after_is_the_wait_and_says_what_it_rests_on(database: Database) -> None:
    database.append(
        [limited(0, retry_after_ms=20_000.0), limited(1, retry_after_ms=1500.0), limited(2), a_row(a_record(3))]
    )
    (one,) = advice(database)
    assert (one.n, one.retry_after_n, one.retry_after_max_ms) == (3, 2, 20_000.0)
    assert (one.wait_ms, one.wait_source) == (1500.0, "retry_after")
    assert one.newest == "2026-03-01T12:00:02.000000Z"
    assert one.not_before == "2026-03-01T12:00:02.750Z"  # began at :01, took 250 ms, then 1.5 s
    assert (
        one.advice == "Wait 1.5 s, as the newest Retry-After says; 2 of 3 limited answers have one, the longest 20 s."
    )


def test_without_a_retry_after_what_is_used_up_says_how_long(database: Database) -> None:
    database.append(
        [
            limited(
                ratelimit_remaining_requests=0,
                ratelimit_reset_requests_ms=12.0,
                ratelimit_remaining_tokens=0,
                ratelimit_reset_tokens_ms=60_000.0,
            )
        ]
    )
    (one,) = advice(database)
    assert (one.wait_ms, one.wait_source) == (60_000.0, "ratelimit_reset")
    assert one.advice == "Wait 60 s for the allowance that is used up to come back (1 limited)."


def test_an_allowance_that_is_not_used_up_is_no_reason_to_wait(database: Database) -> None:
    database.append(
        [limited(ratelimit_remaining_requests=3, ratelimit_limit_requests=60, ratelimit_reset_requests_ms=9e4)]
    )
    (one,) = advice(database)
    assert (one.wait_ms, one.wait_source, one.not_before) == (None, None, None)
    assert (one.ratelimit_limit_requests, one.ratelimit_remaining_requests) == (60, 3)
    assert one.advice == "No answer says how long (1 limited): wait 1 s, and twice as long after each further one."


def test_headroom_is_the_newest_that_was_told(database: Database) -> None:
    database.append([limited(0, ratelimit_limit_tokens=9), limited(1, ratelimit_limit_tokens=8), limited(2)])
    (one,) = advice(database)
    assert one.ratelimit_limit_tokens == 8


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({"error_type": "quota"}, False),  # waiting does not fill an account
        ({"error_type": "quota", "retry_after_ms": 5.0}, True),
        ({"error_category": "upstream", "error_type": "overloaded"}, False),
        ({"error_category": "upstream", "error_type": "overloaded", "retry_after_ms": 5.0}, True),
        ({"error_category": None, "error_type": None, "retry_after_ms": 5.0, "success": True}, False),
    ],
)
def test_an_answer_is_limited_if_it_is_a_limit_or_asks_to_wait(
    database: Database, changes: dict[str, Any], counts: bool
) -> None:
    database.append([limited(**changes)])
    assert bool(advice(database)) is counts


def test_each_server_and_model_has_its_own_the_one_limited_last_first(database: Database) -> None:
    database.append([limited(0, model="a"), limited(1, model="b", backend_name="x"), limited(2, model="b")])
    assert [(one.model, one.backend_name, one.n) for one in advice(database)] == [
        ("b", None, 1),
        ("b", "x", 1),
        ("a", None, 1),
    ]


def test_only_the_newest_answers_count(database: Database) -> None:
    database.append(limited(number, retry_after_ms=float(number)) for number in range(MAX_LIMITED + 20))
    (one,) = advice(database)
    assert (one.n, one.wait_ms) == (MAX_LIMITED, 119.0)


@pytest.mark.parametrize(("timestamp", "retry_after_ms"), [(None, 5.0), ("2026-03-01T12:00:00.000000Z", 1e300)])
def test_a_moment_that_cannot_be_told_is_not_told(
    database: Database, timestamp: str | None, retry_after_ms: float
) -> None:
    database.append([limited(timestamp=timestamp, retry_after_ms=retry_after_ms)])
    (one,) = advice(database)
    assert (one.wait_ms, one.not_before) == (retry_after_ms, None)
