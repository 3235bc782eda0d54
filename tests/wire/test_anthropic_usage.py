"""Reports are totals so far: the last one of each count is the count."""

from typing import Any

import pytest

from llm_metrics_proxy.wire.anthropic_usage import AnthropicUsage
from llm_metrics_proxy.wire.facts import Usage


def usage(*reports: Any) -> Usage | None:
    found = AnthropicUsage()
    for report in reports:
        found.take(report, with_output=True)
    return found.usage()


FULL = {"input_tokens": 5, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 20, "output_tokens": 7}


def test_the_prompt_holds_what_came_from_the_cache_and_what_went_there() -> None:
    assert usage(FULL) == Usage(35, 7, 42, cached_tokens=20, cache_write_tokens=10)


def test_a_later_report_replaces_and_is_never_added() -> None:
    assert usage(FULL, {"output_tokens": 9}, {"output_tokens": 12}) == Usage(
        35, 12, 47, cached_tokens=20, cache_write_tokens=10
    )
    assert usage({"input_tokens": 0}, {"input_tokens": 30, "output_tokens": 2}) == Usage(30, 2, 32)


@pytest.mark.parametrize("nothing", [0, None])
def test_a_zero_or_null_never_replaces_more(nothing: object) -> None:
    assert usage(FULL, dict.fromkeys(FULL, nothing)) == usage(FULL)


def test_the_first_report_of_a_stream_knows_no_output_yet() -> None:
    found = AnthropicUsage()
    found.take({"input_tokens": 25, "output_tokens": 1}, with_output=False)
    assert found.usage() == Usage(25)


@pytest.mark.parametrize("value", ["12", -1, 2**41, True, 1.5, [], {}])
def test_nonsense_is_refused_and_told_and_spoils_no_sum(value: object) -> None:
    assert usage(FULL | {"output_tokens": value}) == Usage(
        35, None, None, cached_tokens=20, rejected=True, cache_write_tokens=10
    )
    assert usage(FULL | {"cache_read_input_tokens": value}) == Usage(
        None, 7, None, rejected=True, cache_write_tokens=10
    )
    assert usage(FULL | {"input_tokens": value}, {"input_tokens": 5}) == usage(FULL)


@pytest.mark.parametrize("report", [None, 7, "x", [], {}])
def test_what_is_no_report_reports_nothing(report: object) -> None:
    assert usage(report) is None
