"""Flags that say which records a verb is about."""

from datetime import UTC, datetime

import pytest

from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.cli.selection import moment, selection
from llm_metrics_proxy.errors import QueryError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (None, None),
        ("90s", datetime(2026, 3, 1, 11, 58, 30, tzinfo=UTC)),
        ("15m", datetime(2026, 3, 1, 11, 45, tzinfo=UTC)),
        ("24h", datetime(2026, 2, 28, 12, tzinfo=UTC)),
        ("7d", datetime(2026, 2, 22, 12, tzinfo=UTC)),
        ("1w", datetime(2026, 2, 22, 12, tzinfo=UTC)),
        ("2026-01-01", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T01:00:00+01:00", datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_iso_8601_or_an_age(text: str | None, meant: datetime | None) -> None:
    assert moment(text, "--since", NOW) == meant


@pytest.mark.parametrize("text", ["yesterday", "", "7", "7y", "-1h", "999999w", "\N{ARABIC-INDIC DIGIT SEVEN}d"])
def test_anything_else_is_refused_by_the_flags_name(text: str) -> None:
    with pytest.raises(QueryError, match=r"^--until: ") as caught:
        moment(text, "--until", NOW)
    assert caught.value.exit_code == 2


def test_flags_become_one_filter() -> None:
    assert selection() == RequestFilter()
    chosen = selection(since="1h", model="m", origin="o", status_code=503, success=True, streaming=False, now=NOW)
    assert chosen == RequestFilter(
        start=datetime(2026, 3, 1, 11, tzinfo=UTC),
        model="m",
        origin="o",
        status_code=503,
        success=False,
        streaming=False,
    )


def test_who_asked_can_be_chosen_too() -> None:
    chosen = selection(user="u", user_agent="a/1", api_key_id="0f", backend_name="b", trace_id="7", tag=["k=v", "x=y"])
    assert chosen == RequestFilter(
        user="u", user_agent="a/1", api_key_id="0f", backend_name="b", trace_id="7", tag="k=v,x=y"
    )
    with pytest.raises(QueryError, match="give k=v"):
        selection(tag=["k"])


def test_what_went_wrong_can_be_chosen_too() -> None:
    chosen = selection(
        outcome="upstream_error", error_category="limit", error_type="quota", error_phase="before_first_token"
    )
    assert chosen == RequestFilter(
        outcome="upstream_error", error_category="limit", error_type="quota", error_phase="before_first_token"
    )
    with pytest.raises(QueryError, match=r"there is no error_type 'quoat'; there are: .*quota"):
        selection(error_type="quoat")


def test_several_values_and_conditions_of_any_column_are_flags_too() -> None:
    chosen = selection(model="a,b", status_code="503", success=True, where=["user!=(none)", "response_time_ms>5000"])
    assert [str(one) for one in chosen.conditions] == [
        "success=false", "status_code=503", "model=a,b", "user!=(none)", "response_time_ms>5000",
    ]  # fmt: skip
    with pytest.raises(QueryError, match="did you mean response_time_ms"):
        selection(where=["respons_time_ms>5"])
