"""The oracle of 3.0.0 by itself: what older records say, and what it makes of them."""

from typing import Any, Final

import pytest
from hypothesis import given

from llm_metrics_proxy.migration.failures import INPUTS
from llm_metrics_proxy.migration.failures_oracle import oracle_of
from llm_metrics_proxy.migration.invalid_text import InvalidText
from llm_metrics_proxy.safe_migrations import migrate_to_version_3_0_0
from llm_metrics_proxy.wire.error_taxonomy import OutcomeFacts
from tests.wire.test_error_taxonomy import facts

oracle: Final = oracle_of("3.0.0")
WRITTEN: Final = tuple(change.column for change in migrate_to_version_3_0_0().changes)


def told(**known: Any) -> dict[str, Any]:
    """What it gives for a record of which only so much is known, by column."""
    values = oracle(*(known.get(name) for name in INPUTS))
    return dict(zip((*WRITTEN, "recompute_reason"), values, strict=True))


def ended(**known: Any) -> tuple[Any, ...]:
    it = told(**known)
    return it["outcome"], it["error_category"], it["error_type"], it["error_phase"]


@pytest.mark.parametrize(
    ("status", "category", "kind"),
    [
        (400, "request", "invalid"), (401, "auth", "unauthenticated"), (402, "limit", "quota"),
        (403, "auth", "forbidden"), (404, "request", "endpoint_not_found"), (405, "request", "endpoint_not_found"),
        (408, "upstream", "timeout"), (409, "request", "conflict"), (413, "request", "too_large"),
        (422, "request", "invalid"), (429, "limit", "rate_limit"), (500, "upstream", "internal"),
        (501, "request", "unsupported"), (502, "upstream", "bad_gateway"), (503, "upstream", "overloaded"),
        (504, "upstream", "timeout"), (524, "upstream", "timeout"), (529, "upstream", "overloaded"),
        (599, "upstream", "internal"),
    ],
)  # fmt: skip
def test_a_status_without_words_has_its_type(status: int, category: str, kind: str) -> None:
    wanted = ("upstream_error", category, kind, "before_first_token")
    assert ended(success=0, status_code=status) == wanted, "of 1.x, which knew no outcomes"
    assert ended(outcome="upstream_error", success=0, upstream_status_code=status, error_type="Odd") == wanted


@pytest.mark.parametrize(
    ("known", "category", "kind"),
    [
        ({"error_type": "insufficient_quota"}, "limit", "quota"),
        ({"error_message": "You exceeded your current quota, please check your plan"}, "limit", "quota"),
        ({"error_type": "slow_down"}, "limit", "rate_limit"),
        ({"error_type": "exceed_context_size_error"}, "request", "context_length"),
        ({"error_message": "This model's MAXIMUM context length is 4096"}, "request", "context_length"),
        ({"error_type": "rate_limit_exceeded", "error_message": "credit balance is too low"}, "limit", "quota"),
        ({"upstream_error_code": "model_not_found"}, "request", "model_not_found"),
        ({"error_type": "overloaded_error"}, "upstream", "overloaded"),
        ({"error_type": "content_policy_violation"}, "policy", "content_filter"),
    ],
)
def test_words_decide_before_the_status(known: dict[str, Any], category: str, kind: str) -> None:
    for status in (429, 400, 200):
        assert ended(success=0, status_code=status, **known)[1:3] == (category, kind)


@pytest.mark.parametrize(
    ("message", "outcome", "category", "kind", "phase"),
    [
        ("[Errno 111] Connection refused", "network_error", "network", "connect_refused", "connect"),
        ("Cannot connect to host x:1", "network_error", "network", "connect_failed", "connect"),
        ("Temporary failure in name resolution", "network_error", "network", "dns", "connect"),
        ("Server disconnected", "network_error", "network", "reset", "before_first_token"),
        ("Read timed out.", "timeout", "network", "first_byte_timeout", "before_first_token"),
        ("Connection timeout to host", "timeout", "network", "connect_timeout", "connect"),
    ],
)
def test_what_older_programs_wrote_of_connections_outranks_the_status_that_they_sent(
    message: str, outcome: str, category: str, kind: str, phase: str
) -> None:
    assert ended(success=0, status_code=502, error_message=message) == (outcome, category, kind, phase)


@pytest.mark.parametrize(
    ("was", "outcome", "category", "kind"),
    [
        ("stream_error", "upstream_error", "stream", "error_event"),
        ("stream_truncated", "upstream_truncated", "stream", "truncated"),
        ("upstream_timeout", "timeout", "network", "idle_timeout"),
        ("upstream_unreachable", "network_error", "network", "dns"),
        ("upstream_protocol_error", "network_error", "network", "protocol"),
        ("client_error", "proxy_refused", "client", "slow_request"),
        ("rejected", "proxy_refused", "auth", "forbidden"),
        ("proxy_error", "proxy_crashed", "proxy", "internal"),
        ("proxy_crashed", "proxy_crashed", "proxy", "crashed"),
        ("record_lost", "proxy_crashed", "proxy", "record_lost"),
    ],
)
def test_outcomes_of_2x_become_those_of_3_and_the_words_are_kept(
    was: str, outcome: str, category: str, kind: str
) -> None:
    word = None if kind in {"crashed", "record_lost"} else kind
    it = told(outcome=was, success=0, upstream_status_code=200, error_type=word)
    assert (it["outcome"], it["error_category"], it["error_type"]) == (outcome, category, kind)
    assert it["outcome_original"] == (None if was == outcome else was)
    assert it["success"] == 0


def test_a_client_that_left_is_told_by_what_it_had_seen() -> None:
    gone = {"outcome": "client_disconnected", "success": 0}
    assert ended(**gone, request_bytes=1) == (
        "client_disconnected", "client", "disconnect_before_first_token", "request",
    )  # fmt: skip
    assert ended(**gone, time_to_first_token_ms=5.0)[2:] == ("disconnect_mid_stream", "mid_stream")
    assert ended(**gone, time_to_first_byte_ms=5.0)[2:] == ("disconnect_mid_stream", "mid_stream")
    assert ended(**gone, time_to_first_byte_ms=5.0, content_chunks=0)[2] == "disconnect_before_first_token"


def test_success_is_filled_in_where_nobody_said_and_else_stays() -> None:
    assert told(status_code=200)["success"] == 1
    assert told(status_code=500)["success"] == 0
    assert told(status_code=200, success="true")["success"] == "true"
    assert ended(outcome="completed", finish_reason="content_filter")[:3] == ("completed", "policy", "content_filter")


def test_too_little_to_go_on_is_said_and_the_earlier_reason_stays_otherwise() -> None:
    assert told(success=0)["recompute_reason"] == "error_without_words"
    odd = told(success=0, error_type="Boom", recompute_reason="no_total_tokens")
    assert (odd["error_type"], odd["error_type_original"]) == ("unknown", "Boom")
    assert odd["recompute_reason"] == "error_not_recognised"
    assert told(success=1, recompute_reason="no_total_tokens")["recompute_reason"] == "no_total_tokens"


def test_values_of_the_wrong_type_count_as_missing_and_text_that_is_no_unicode_as_its_bytes() -> None:
    assert ended(success=0, status_code="500", error_message=b"connection refused")[2] == "unknown"
    assert ended(success=0, error_message=InvalidText(b"\xff Connection REFUSED"))[2] == "connect_refused"
    assert ended(success=0, status_code=429.0)[2] == "unknown"


@given(facts)
def test_its_own_results_give_the_same_values_again(older: OutcomeFacts) -> None:
    row = dict.fromkeys(INPUTS) | older._asdict()
    first = oracle(*row.values())
    row |= dict(zip((*WRITTEN, "recompute_reason"), first, strict=True))
    again = oracle(*(row[name] for name in INPUTS))
    assert again[:-1] == first[:-1]
    assert (again[-1] is None) == (first[-1] is None), "the word that a reason rests on may be an original by then"
