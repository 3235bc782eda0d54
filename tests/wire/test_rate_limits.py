"""Waits and limits out of header fields, in every spelling that servers use; nonsense is left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.wire.rate_limits import FIELDS, http_date_ms, read_limits, rfc3339_ms, wait_ms

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
DATE_MS = 784111777000.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7000.0),
        ("0.5", 500.0),
        ("12ms", 12.0),
        ("6m0s", 360_000.0),
        ("1h2m3.5s", 3_723_500.0),
        ("1d", 86_400_000.0),
        ("Sun, 06 Nov 1994 08:49:47 GMT", 10_000.0),
        ("1994-11-06T08:49:47Z", 10_000.0),
        ("1994-11-06T09:49:37.250+01:00", 250.0),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0.0),
        ("99999999999999", 366 * 86_400_000.0),
        ("", None),
        ("-1", None),
        ("soon", None),
        ("6x", None),
        ("1994-13-06T08:49:47Z", None),
    ],
)
def test_a_wait_is_understood(text: str, expected: float | None) -> None:
    assert wait_ms(text, DATE_MS) == expected


def test_moments_are_read_to_the_millisecond() -> None:
    assert http_date_ms(DATE) == DATE_MS
    assert rfc3339_ms("1994-11-06T08:49:37Z") == DATE_MS
    assert wait_ms(DATE, None) is None


def test_fields_of_openai_and_anthropic_fill_the_same_columns() -> None:
    openai = read_limits({
        "x-ratelimit-limit-requests": b"60", "x-ratelimit-remaining-tokens": b"149984",
        "x-ratelimit-reset-tokens": b"6m0s", "retry-after": b"2", "retry-after-ms": b"1500",
    })  # fmt: skip
    assert dict(openai) == {
        "ratelimit_limit_requests": 60, "ratelimit_remaining_tokens": 149984, "ratelimit_reset_tokens_ms": 360_000.0,
        "retry_after_ms": 1500.0,
    }  # fmt: skip
    anthropic = read_limits({
        "date": DATE.encode(), "anthropic-ratelimit-requests-limit": b"50",
        "anthropic-ratelimit-tokens-reset": b"1994-11-06T08:50:37Z",
    })  # fmt: skip
    assert dict(anthropic) == {"ratelimit_limit_requests": 50, "ratelimit_reset_tokens_ms": 60_000.0}


@given(st.dictionaries(st.sampled_from(FIELDS), st.binary(max_size=30) | st.sampled_from([b"9" * 30, DATE.encode()])))
def test_nothing_a_server_sends_makes_it_fail(fields: dict[str, bytes]) -> None:
    for column, value in read_limits(fields):
        assert column in RequestRecord.__struct_fields__
        assert value >= 0
