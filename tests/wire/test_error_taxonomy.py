"""Any facts give one verdict out of the table, and the table is reached from every side."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.record import Outcome
from llm_metrics_proxy.wire.error_clues import CLUES, LEGACY, STATUSES, VAGUE
from llm_metrics_proxy.wire.error_taxonomy import (
    CATEGORIES,
    OUTCOMES,
    PHASES,
    TAXONOMY,
    FailureFacts,
    Verdict,
    classify,
)

TYPES = [row.type for row in TAXONOMY]
_WORDS = sorted({word for clues in (CLUES, VAGUE, LEGACY) for each in clues for word in each.words})
_TEXTS = sorted({text for clues in (CLUES, VAGUE, LEGACY) for each in clues for text in each.texts})
_OWN = ["http_500", "no_models", "no_backend_for_model", "disconnect", "send_timeout", "refused", "429", "Boom", ""]
words = st.none() | st.sampled_from([*_WORDS, *TYPES, *_OWN])
messages = st.none() | st.sampled_from(_TEXTS).map(lambda text: f"The MODEL: {text.upper()}!") | st.text(max_size=9)
statuses = st.none() | st.sampled_from([*STATUSES, 101, 200, 204, 302, 400, 418, 422, 500, 599])
stamps = st.none() | st.floats(0, 1e6)
facts = st.builds(
    FailureFacts,
    outcome=st.none() | st.sampled_from([*Outcome, *OUTCOMES, "odd"]),
    success=st.none() | st.booleans(),
    status_code=statuses,
    upstream_status_code=statuses,
    error_type=words,
    error_message=messages,
    upstream_error_code=words,
    upstream_error_type=words,
    finish_reason=st.sampled_from([None, "stop", "length", "content_filter", "SAFETY", "refusal"]),
    model=st.none() | st.just("m"),
    request_bytes=st.none() | st.just(2),
    body_complete_ms=stamps,
    request_sent_ms=stamps,
    response_headers_ms=stamps,
    time_to_first_byte_ms=stamps,
    time_to_first_token_ms=stamps,
    content_chunks=st.none() | st.integers(0, 3),
)


@given(facts)
def test_any_facts_give_one_verdict_that_the_table_knows(given_facts: FailureFacts) -> None:
    verdict = classify(given_facts)
    assert verdict.outcome in OUTCOMES
    assert verdict.phase is None or verdict.phase in PHASES
    if verdict.type is None:
        assert verdict == Verdict("completed")
    else:
        assert (verdict.category, verdict.type) in [(row.category, row.type) for row in TAXONOMY]
    assert (verdict.reason is not None) == (verdict.type == "unknown")
    assert (verdict.outcome == "completed") <= (verdict.category in {None, "policy"})


@given(facts)
def test_a_verdict_that_was_stored_is_given_again(given_facts: FailureFacts) -> None:
    first = classify(given_facts)
    stored = given_facts._replace(outcome=first.outcome, success=first.outcome == "completed", error_type=first.type)
    assert classify(stored)[:4] == first[:4]


def test_every_type_stands_in_the_table_once_in_its_category() -> None:
    assert len({(row.category, row.type) for row in TAXONOMY}) == len(TAXONOMY)
    assert {row.category for row in TAXONOMY} == set(CATEGORIES)


_SERVER: dict[str, Any] = {"outcome": "upstream_error"}


@pytest.mark.parametrize(
    ("known", "category", "kind"),
    [
        ({"upstream_status_code": 429, "error_type": "insufficient_quota"}, "limit", "quota"),
        ({"upstream_status_code": 429, "upstream_error_code": "rate_limit_exceeded",
          "error_message": "You exceeded your current quota"}, "limit", "quota"),
        ({"upstream_status_code": 429, "error_type": "http_429"}, "limit", "rate_limit"),
        ({"upstream_status_code": 400, "upstream_error_type": "BadRequestError",
          "error_message": "This model's maximum context length is 8192 tokens."}, "request", "context_length"),
        ({"upstream_status_code": 400, "upstream_error_type": "exceed_context_size_error"}, "request",
         "context_length"),
        ({"upstream_status_code": 404, "error_message": "model 'x' not found, try pulling it first"}, "request",
         "model_not_found"),
        ({"upstream_status_code": 404, "upstream_error_type": "NotFoundError",
          "error_message": "The model `x` does not exist."}, "request", "model_not_found"),
        ({"upstream_status_code": 404, "upstream_error_type": "not_found_error",
          "error_message": "model: claude-9"}, "request", "model_not_found"),
        ({"upstream_status_code": 404, "error_message": "Not Found"}, "request", "endpoint_not_found"),
        ({"upstream_status_code": 529, "upstream_error_type": "overloaded_error"}, "upstream", "overloaded"),
        ({"upstream_status_code": 503, "upstream_error_type": "unavailable_error", "upstream_error_code": "503",
          "error_message": "Loading model"}, "upstream", "overloaded"),
        ({"upstream_status_code": 422, "upstream_error_type": "missing", "error_message": "body.model: Field"},
         "request", "invalid"),
        ({"upstream_status_code": 502, "error_message": "502 Bad Gateway"}, "upstream", "bad_gateway"),
        ({"upstream_status_code": 500}, "upstream", "internal"),
        ({"upstream_status_code": 200, "upstream_error_code": "429", "error_message": "slow"}, "limit", "rate_limit"),
        ({"upstream_status_code": 200, "error_message": "unexpected EOF"}, "stream", "error_event"),
        ({"upstream_status_code": 200, "upstream_error_type": "overloaded_error"}, "upstream", "overloaded"),
        ({"upstream_status_code": 400, "upstream_error_code": "content_filter"}, "policy", "content_filter"),
    ],
)  # fmt: skip
def test_what_servers_say_is_understood(known: dict[str, Any], category: str, kind: str) -> None:
    verdict = classify(FailureFacts(**_SERVER, **known))
    assert (verdict.category, verdict.type, verdict.outcome) == (category, kind, "upstream_error")


def test_a_refusal_that_was_seen_is_flagged_whatever_the_finish_reason_says() -> None:
    for reason in ("stop", "completed", None):
        facts = FailureFacts(outcome="completed", success=True, finish_reason=reason, error_type="refusal")
        assert classify(facts) == Verdict("completed", "policy", "refusal")


@pytest.mark.parametrize("reason", ["content_filter", "SAFETY", "refusal"])
def test_a_filtered_answer_is_complete_and_flagged(reason: str) -> None:
    verdict = classify(FailureFacts(outcome="completed", success=True, finish_reason=reason))
    assert (verdict.outcome, verdict.category) == ("completed", "policy")


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        ({"success": True}, Verdict("completed")),
        ({"success": False, "status_code": 502, "error_message": "Connection refused"},
         Verdict("network_error", "network", "connect_refused", "connect")),
        ({"success": False, "status_code": 500, "error_type": "boom"},
         Verdict("upstream_error", "upstream", "internal", "before_first_token")),
        ({"success": False}, Verdict("upstream_error", "unknown", "unknown", "before_first_token",
                                     "error_without_words")),
        ({"success": False, "error_type": "boom"},
         Verdict("upstream_error", "unknown", "unknown", "before_first_token", "error_not_recognised")),
    ],
)  # fmt: skip
def test_a_record_of_a_program_without_outcomes_gets_one(known: dict[str, Any], wanted: Verdict) -> None:
    assert classify(FailureFacts(**known)) == wanted
