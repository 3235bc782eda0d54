"""The independent list of words is as long as that of the formula: nothing that one knows is missing in the other."""

import pytest

from llm_metrics_proxy.wire.error_clues import CLUES, LEGACY, VAGUE, Clue, clue, legacy_clue, status_clue
from llm_metrics_proxy.wire.error_types import FIRST
from tests.migration.failures_words import from_elsewhere, from_server, from_status

# Later ones are no migration's business: records that have them were classified with them.
OLDEST = [each for each in (*CLUES, *VAGUE) if each.since == FIRST]


@pytest.mark.parametrize("told", OLDEST, ids=lambda told: f"{told.type}-{len(told.words)}")
def test_every_word_and_text_of_servers_is_read_alike(told: Clue) -> None:
    for status in (None, 200, 400, 404, 429, 500):
        for word in told.words:
            assert from_server([word], "", status) == clue([word], None, status), (word, status)
        for text in told.texts:
            message = f"the model says: {text}!"
            assert from_server([], message, status) == clue([], message, status), (text, status)


@pytest.mark.parametrize("told", LEGACY, ids=lambda told: told.type)
def test_every_word_and_text_of_older_programs_is_read_alike(told: Clue) -> None:
    kind = told.type.removesuffix("_before_first_token")  # which of the two it is, the times tell
    for word in told.words:
        assert (
            from_elsewhere([word], "") == kind == (legacy_clue([word], None) or "").removesuffix("_before_first_token")
        )
    for text in told.texts:
        assert from_elsewhere([], f"1: {text}.") is not None
        assert from_elsewhere([], f"1: {text}.") == legacy_clue([], f"1: {text}.")


def test_every_status_is_read_alike() -> None:
    assert [from_status(status) for status in range(700)] == [status_clue(status) for status in range(700)]
    assert from_status(None) is None


def test_of_words_that_contradict_each_other_money_outranks_rates_and_generic_ones_count_last() -> None:
    assert from_server(["rate_limit_exceeded", "insufficient_quota"], "", 429) == "quota"
    assert from_server(["invalid_request_error", "invalid_api_key"], "", 401) == "unauthenticated"
    assert from_server(["invalid_request_error"], "", 404) is None, "the status tells more"
    assert from_server(["invalid_request_error"], "", 200) == "invalid"
    assert from_server(["429"], "", 200) == "rate_limit", "a status as code inside a success"
