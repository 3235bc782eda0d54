"""Any facts give one verdict out of the table, and the table is reached from every side."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.record import Outcome
from llm_metrics_proxy.wire import error_taxonomy
from llm_metrics_proxy.wire.error_clues import CLUES, LEGACY, STATUSES, VAGUE, Clue
from llm_metrics_proxy.wire.error_taxonomy import Classification, OutcomeFacts, classify, taxonomy_of
from llm_metrics_proxy.wire.error_types import CATEGORIES, OUTCOMES, PHASES, TAXONOMY, ErrorType

TYPES = [row.type for row in TAXONOMY]
_WORDS = sorted({word for clues in (CLUES, VAGUE, LEGACY) for each in clues for word in each.words})
_TEXTS = sorted({text for clues in (CLUES, VAGUE, LEGACY) for each in clues for text in each.texts})
_OWN = ["http_500", "no_models", "no_backend_for_model", "disconnect", "send_timeout", "refused", "429", "Boom", ""]
words = st.none() | st.sampled_from([*_WORDS, *TYPES, *_OWN])
messages = st.none() | st.sampled_from(_TEXTS).map(lambda text: f"The MODEL: {text.upper()}!") | st.text(max_size=9)
statuses = st.none() | st.sampled_from([*STATUSES, 101, 200, 204, 302, 400, 418, 422, 500, 599])
stamps = st.none() | st.floats(0, 1e6)
facts = st.builds(
    OutcomeFacts,
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
def test_any_facts_give_one_verdict_that_the_table_knows(given_facts: OutcomeFacts) -> None:
    verdict = classify(given_facts)
    assert verdict.outcome in OUTCOMES
    assert verdict.phase is None or verdict.phase in PHASES
    if verdict.type is None:
        assert verdict == Classification("completed")
    else:
        assert (verdict.category, verdict.type) in [(row.category, row.type) for row in TAXONOMY]
    assert (verdict.reason is not None) == (verdict.type == "unknown")
    assert (verdict.outcome == "completed") <= (verdict.category in {None, "policy"})


@given(facts)
def test_a_verdict_that_was_stored_is_given_again(given_facts: OutcomeFacts) -> None:
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
    verdict = classify(OutcomeFacts(**_SERVER, **known))
    assert (verdict.category, verdict.type, verdict.outcome) == (category, kind, "upstream_error")


def test_a_refusal_that_was_seen_is_flagged_whatever_the_finish_reason_says() -> None:
    for reason in ("stop", "completed", None):
        facts = OutcomeFacts(outcome="completed", success=True, finish_reason=reason, error_type="refusal")
        assert classify(facts) == Classification("completed", "policy", "refusal")


@pytest.mark.parametrize("reason", ["content_filter", "SAFETY", "refusal"])
def test_a_filtered_answer_is_complete_and_flagged(reason: str) -> None:
    verdict = classify(OutcomeFacts(outcome="completed", success=True, finish_reason=reason))
    assert (verdict.outcome, verdict.category) == ("completed", "policy")


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        ({"success": True}, Classification("completed")),
        ({"success": False, "status_code": 502, "error_message": "Connection refused"},
         Classification("network_error", "network", "connect_refused", "connect")),
        ({"success": False, "status_code": 500, "error_type": "boom"},
         Classification("upstream_error", "upstream", "internal", "before_first_token")),
        ({"success": False}, Classification("upstream_error", "unknown", "unknown", "before_first_token",
                                     "error_without_words")),
        ({"success": False, "error_type": "boom"},
         Classification("upstream_error", "unknown", "unknown", "before_first_token", "error_not_recognised")),
    ],
)  # fmt: skip
def test_a_record_of_a_program_without_outcomes_gets_one(known: dict[str, Any], wanted: Classification) -> None:
    assert classify(OutcomeFacts(**known)) == wanted


LATER = ErrorType("policy", "odd_tongue", "The server speaks so.", "Teach it.", since="98.7.6", words=("tongue",),
                  texts=("in tongues",), finish_reasons=("tongue",))  # fmt: skip
_BEFORE = taxonomy_of("98.7.5", (*TAXONOMY, LATER))
_AFTER = taxonomy_of("98.7.6", (*TAXONOMY, LATER))


@given(facts)
def test_a_version_before_a_type_classifies_as_if_it_were_not_there(given_facts: OutcomeFacts) -> None:
    assert classify(given_facts, _BEFORE) == classify(given_facts, taxonomy_of("98.7.5"))


@pytest.mark.parametrize(
    ("told", "before"),
    [
        ({**_SERVER, "upstream_status_code": 400, "upstream_error_code": "Tongue"}, "invalid"),
        ({**_SERVER, "upstream_status_code": 200, "error_message": "Spoken IN TONGUES."}, "error_event"),
        ({"outcome": "completed", "success": True, "finish_reason": "TONGUE"}, None),
        ({"outcome": "rejected", "error_type": "odd_tongue"}, "unknown"),
    ],
)
def test_a_later_type_is_recognised_from_its_version_on(told: dict[str, Any], before: str | None) -> None:
    assert classify(OutcomeFacts(**told), _BEFORE).type == before
    found = classify(OutcomeFacts(**told), _AFTER)
    assert (found.category, found.type) == ("policy", "odd_tongue")
    stored = OutcomeFacts(**told)._replace(outcome=found.outcome, error_type=found.type)
    assert classify(stored, _AFTER)[:4] == found[:4]


def test_what_older_types_recognise_stays_theirs() -> None:
    known = OutcomeFacts(**_SERVER, upstream_error_code="rate_limit_exceeded", error_message="spoken in tongues")
    assert classify(known, _AFTER).type == "rate_limit"


@pytest.mark.parametrize(
    ("status", "word", "message", "type_"),
    [
        (400, "ValidationException", "Input is too long for requested model.", "context_length"),
        (
            400,
            "ValidationException",
            "Input Tokens Exceeded: Number of input tokens exceeds maximum length.",
            "context_length",
        ),
        (400, "ValidationException", "Too many input tokens. Max input tokens: 8192", "context_length"),
        (400, "ValidationException", "The provided model identifier is invalid.", "invalid"),
        (400, "ServiceQuotaExceededException", "Too many.", "quota"),
        (403, "AccessDeniedException", "You don't have access to the model.", "forbidden"),
        (403, "ExpiredTokenException", "The security token is expired.", "unauthenticated"),
        (404, "ResourceNotFoundException", "No.", "model_not_found"),
        (408, "ModelTimeoutException", "Slow.", "timeout"),
        (424, "ModelErrorException", "Boom.", "internal"),
        (429, "ThrottlingException", "Too many tokens per day.", "rate_limit"),
        (429, "ModelNotReadyException", "Wait.", "overloaded"),
        (500, "InternalServerException", "Boom.", "internal"),
        (503, "ServiceUnavailableException", "Later.", "overloaded"),
        (200, "modelStreamErrorException", "Boom.", "internal"),
        (200, "throttlingException", "Boom.", "rate_limit"),
        (200, "error_toxic", None, "content_filter"),
    ],
)
def test_words_of_aws_and_cohere_are_known(status: int, word: str, message: str | None, type_: str) -> None:
    said = OutcomeFacts("upstream_error", upstream_status_code=status, upstream_error_type=word, error_message=message)
    assert classify(said).type == type_


def test_an_answer_that_a_guardrail_of_bedrocks_stopped_is_flagged() -> None:
    found = classify(OutcomeFacts("completed", finish_reason="guardrail_intervened"))
    assert (found.outcome, found.category, found.type) == ("completed", "policy", "guardrail")


def test_a_later_clue_counts_from_its_version_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_taxonomy, "CLUES", (*CLUES, Clue("rate_limit", words=("calm_down",), since="98.7.6")))
    told = OutcomeFacts(**_SERVER, upstream_status_code=400, upstream_error_code="calm_down")
    assert classify(told, taxonomy_of("98.7.5")).type == "invalid"
    assert classify(told, taxonomy_of("98.7.6")).type == "rate_limit"
