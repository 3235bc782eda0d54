"""Waits and limits out of header fields, in every spelling that servers use; nonsense is left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.wire.rate_limits import FIELDS, QUOTA_FIELDS, http_date_ms, read_limits, rfc3339_ms, wait_ms

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
        assert 0 < len(value) <= 64 if isinstance(value, str) else value >= 0


def test_windows_of_a_claude_subscription() -> None:
    epoch = int((http_date_ms(DATE) or 0) / 1000)
    unified = "anthropic-ratelimit-unified-"
    found = read_limits(
        {
            "date": DATE.encode(),
            f"{unified}status": b"allowed_warning",
            f"{unified}representative-claim": b"seven_day",
            f"{unified}5h-utilization": b"0.42",
            f"{unified}5h-reset": str(epoch + 60).encode(),
            f"{unified}7d-utilization": b"1.02",
            f"{unified}7d-reset": str(epoch - 5).encode(),
            f"{unified}overage-status": b"rejected",
        }
    )
    assert dict(found) == {
        "quota_status": "allowed_warning", "quota_limit": "seven_day", "quota_overage_status": "rejected",
        "quota_primary_used_percent": 42.0, "quota_primary_window_ms": 18_000_000.0, "quota_primary_reset_ms": 60_000.0,
        "quota_secondary_used_percent": 102.0, "quota_secondary_window_ms": 604_800_000.0,
        "quota_secondary_reset_ms": 0.0,
    }  # fmt: skip


def test_windows_of_a_codex_subscription() -> None:
    epoch = int((http_date_ms(DATE) or 0) / 1000)
    fields = {
        "date": DATE.encode(),
        "x-codex-primary-used-percent": b"12.5",
        "x-codex-primary-window-minutes": b"300",
        "x-codex-primary-reset-after-seconds": b"90",
        "x-codex-primary-reset-at": str(epoch + 91).encode(),
        "x-codex-secondary-used-percent": b"100",
        "x-codex-secondary-window-minutes": b"10080",
        "x-codex-secondary-reset-at": str(epoch + 1).encode(),
        "x-codex-plan-type": b"plus",
        "x-codex-credits-balance": b"9.5",
        "x-codex-rate-limit-reached-type": b"rate_limit_reached",
    }
    expected = {
        "quota_primary_used_percent": 12.5, "quota_primary_window_ms": 18_000_000.0, "quota_primary_reset_ms": 90_000.0,
        "quota_secondary_used_percent": 100.0, "quota_secondary_window_ms": 604_800_000.0,
        "quota_secondary_reset_ms": 1000.0, "quota_plan": "plus", "quota_credits_left": 9.5,
        "quota_status": "rate_limit_reached",
    }  # fmt: skip
    assert dict(read_limits(fields)) == expected
    del fields["date"]  # a moment says nothing without one
    del expected["quota_secondary_reset_ms"]
    assert dict(read_limits(fields)) == expected


def test_nonsense_about_a_subscription_is_left_out() -> None:
    words = {name for name in QUOTA_FIELDS if read_limits({name: b"word"})}
    assert len(words) == 6
    for name in QUOTA_FIELDS:
        for value in (b"", b"\xff", b"a b", b"x" * 65, *(() if name in words else (b"-1", b"NaN", b"1e5", b"9" * 40))):
            assert not read_limits({"date": DATE.encode(), name: value})
