"""Facts are named like the record's columns, and copied to them."""

import pytest

from llm_metrics_proxy.record import RAW_COLUMNS, RequestRecord, UsageSource
from llm_metrics_proxy.wire.base import (
    ErrorFacts,
    RequestFacts,
    ResponseFacts,
    copy_request_facts,
    copy_response_facts,
)


def record() -> RequestRecord:
    return RequestRecord(request_id="0" * 32, timestamp="2026-01-01T00:00:00.000000Z", method="POST", endpoint="/x")


@pytest.mark.parametrize(
    ("copy", "facts", "others"),
    [
        (copy_request_facts, RequestFacts, {"claims"}),
        (copy_response_facts, ResponseFacts, {"terminal", "malformed", "error", "refused", "blocked", "further"}),
    ],
)
def test_every_fact_fills_the_column_of_its_name(copy: object, facts: type, others: set[str]) -> None:
    names = [name for name in facts.__struct_fields__ if name not in others]  # type: ignore[attr-defined]
    assert set(names) <= set(RAW_COLUMNS)
    given = facts(**dict(zip(names, range(1, 100), strict=False)))
    filled, untouched = record(), record()
    copy(given, filled)  # type: ignore[operator]
    assert [getattr(filled, name) for name in names] == [getattr(given, name) for name in names]
    rest = [name for name in RAW_COLUMNS if name not in names]
    assert [getattr(filled, name) for name in rest] == [getattr(untouched, name) for name in rest]


def test_what_is_no_column_is_for_the_exchange_alone() -> None:
    filled = record()
    copy_response_facts(ResponseFacts(error=ErrorFacts(message="m"), refused=True, terminal=True), filled)
    assert (filled.error_message, filled.usage_source) == (None, UsageSource.NONE)


def test_further_facts_fill_the_columns_that_they_name() -> None:
    filled = record()
    copy_response_facts(ResponseFacts(further={"server_load_ms": 2.5, "server_total_ms": 4.0}), filled)
    assert (filled.server_load_ms, filled.server_total_ms, filled.server_prompt_ms) == (2.5, 4.0, None)
