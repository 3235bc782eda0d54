"""Counts are a function of what was reported and of the dialect."""

import pytest

from llm_metrics_proxy.wire.endpoints import DIALECTS
from llm_metrics_proxy.wire.facts import Usage
from llm_metrics_proxy.wire.token_counts import tokens_from


def test_each_dialect_reads_its_own_words() -> None:
    assert tokens_from('{"usage":{"prompt_tokens":5,"completion_tokens":2}}', "openai_chat") == Usage(5, 2, 7)
    assert tokens_from('{"usage":{"input_tokens":5,"output_tokens":2}}', "openai_responses") == Usage(5, 2, 7)
    assert tokens_from('{"answer":{"prompt_eval_count":5,"eval_count":2}}', "ollama_chat") == Usage(5, 2, 7)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"usage":5}', '{"usage":{"prompt_tokens":1'])
def test_what_is_no_report_is_not_read(text: str) -> None:
    assert tokens_from(text, "openai_chat") is None


@pytest.mark.parametrize("dialect", [None, "of_tomorrow", "anthropic_count_tokens"])
def test_a_dialect_that_is_not_known_here_or_counts_nothing_is_not_read(dialect: str | None) -> None:
    assert tokens_from('{"usage":{"prompt_tokens":5}}', dialect) is None


def test_every_dialect_with_a_reader_counts() -> None:
    assert [each.name for each in DIALECTS if each.body_reader is not None and each.tokens is None] == []
