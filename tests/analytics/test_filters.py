from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.analytics.filters import WORDS, RequestFilter, parse_time, stored_time
from llm_metrics_proxy.analytics.requests import list_requests
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.record import RequestRecord
from tests.analytics.database import NOON, Database, a_record, a_row


@pytest.mark.parametrize("field", [name for name in RequestFilter.__struct_fields__ if name not in (*WORDS, "where")])
def test_every_condition_picks_its_records_and_no_others(database: Database, field: str) -> None:
    wanted = a_record(0)
    cases: dict[str, tuple[Any, RequestRecord]] = {
        "start": (NOON, a_record(-0.000001)),
        "end": (NOON + timedelta(microseconds=1), a_record(0.000001)),
        "streaming": (True, a_record(is_streaming=False)),
        "success": (True, a_record(success=False)),
        "status_code": (200, a_record(status_code=None)),
        "app_version": ("2.0.0", a_record()),
        "tag": ("team=red", a_record(tags="team=red2,other=team=red,xteam=red")),
        "host": ("one", a_record()),
    }
    texts = (
        "model", "origin", "backend", "endpoint", "backend_name", "user", "user_agent", "api_key_id", "trace_id", "app",
        "session_id", "session_source", "agent_id", "parent_agent_id", "cache_miss_reason", "quota_status",
    )  # fmt: skip
    text: Any = {field: "This"} if field in texts else {}
    value, other = cases.get(field, ("this", a_record(**text)))  # equal means equal, case included
    if field in texts:
        setattr(wanted, field, value)
    wanted.tags = "env=prod,team=red"
    database.add(wanted)
    database.open_as("two")
    database.add(other, app_version="1.0.0" if field == "app_version" else "2.0.0")
    page = list_requests(database.records, RequestFilter(**{field: value}))
    assert [item["request_id"] for item in page.items] == [wanted.request_id]


@pytest.mark.parametrize("field", WORDS)
def test_every_word_of_errors_picks_its_records_and_no_others(database: Database, field: str) -> None:
    rows = []
    for word in WORDS[field]:
        verdict: Any = {field: word} if field in ("error_category", "error_phase") else {}
        facts: Any = {} if verdict else {field: word}
        rows.append(a_row(a_record(**facts), **verdict))
    database.append([*rows, a_row(a_record(outcome=""))])
    for number, word in enumerate(WORDS[field], 1):
        conditions: Any = {field: word}
        assert [item["arrival"] for item in list_requests(database.records, RequestFilter(**conditions)).items] == [
            number
        ]


@pytest.mark.parametrize("field", WORDS)
def test_a_word_that_there_is_not_is_refused_with_those_that_there_are(field: str) -> None:
    conditions: Any = {field: "nonsense"}
    with pytest.raises(QueryError, match=f"there is no {field} 'nonsense'; there are: {', '.join(WORDS[field])}$") as e:
        RequestFilter(**conditions)
    assert e.value.parameter == field


@pytest.mark.parametrize(
    ("tag", "found"),
    [("team=red", 2), ("team=red,env=prod", 1), ("env=prod, team=red", 1), ("team=%", 0), ("a=b=c", 1), ("team=", 0)],
)
def test_tags_are_compared_whole_and_all_must_be_there(database: Database, tag: str, found: int) -> None:
    database.add(a_record(tags="env=prod,team=red"), a_record(tags="team=red"), a_record(tags="a=b=c"), a_record())
    assert len(list_requests(database.records, RequestFilter(tag=tag)).items) == found


@pytest.mark.parametrize("tag", ["team", "", "a=b,team", ","])
def test_what_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(QueryError, match="give k=v") as caught:
        RequestFilter(tag=tag)
    assert caught.value.parameter == "tag"


def test_neighbouring_ranges_share_no_record_and_miss_none(database: Database) -> None:
    database.add(*(a_record(second) for second in range(10)))
    middle = NOON + timedelta(seconds=5)
    before = list_requests(database.records, RequestFilter(end=middle)).items
    after = list_requests(database.records, RequestFilter(start=middle)).items
    assert len(before) == len(after) == 5
    assert after[-1]["timestamp"] == stored_time(middle)


@pytest.mark.parametrize("end", [NOON, NOON - timedelta(seconds=1)])
def test_a_range_that_cannot_hold_anything_is_refused(end: datetime) -> None:
    with pytest.raises(QueryError, match="before end") as caught:
        RequestFilter(start=NOON, end=end)
    assert caught.value.parameter == "start"


@pytest.mark.parametrize("status", [0, 99, 600, -200, 10**30])
def test_a_number_that_is_no_status_is_refused(status: int) -> None:
    with pytest.raises(QueryError, match="100 to 599"):
        RequestFilter(status_code=status)


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("2026-01-31", "2026-01-31T00:00:00.000000Z"),
        ("2026-01-31T12:00", "2026-01-31T12:00:00.000000Z"),
        ("2026-01-31 12:00:00", "2026-01-31T12:00:00.000000Z"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000000Z"),
        ("2026-01-31T12:00:00+01:00", "2026-01-31T11:00:00.000000Z"),
        ("2026-01-31T00:30:00.25-05:30", "2026-01-31T06:00:00.250000Z"),
        ("2026-01-31t12:00:00.123456789z", "2026-01-31T12:00:00.123456Z"),
        ("0001-01-01", "0001-01-01T00:00:00.000000Z"),
    ],
)
def test_times_are_read_as_utc_unless_they_name_a_zone(text: str, stored: str) -> None:
    assert stored_time(parse_time(text, "start")) == stored


@pytest.mark.parametrize(
    "text", ["", "now", "2026-02-30", "2026-01-31T25:00", "0001-01-01T00:00+14:00", "9999-12-31T23:59-01:00", "1" * 999]
)
def test_what_is_no_time_is_refused_and_the_parameter_named(text: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_time(text, "end")
    assert caught.value.parameter == "end"
    assert len(str(caught.value)) < 250


def test_a_plus_that_a_url_turned_into_a_space_is_explained() -> None:
    with pytest.raises(QueryError, match="%2B"):
        parse_time("2026-01-31T12:00:00 01:00", "start")


moments = st.datetimes(
    min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.sampled_from([UTC, timezone.min])
)


@given(moments, moments)
def test_text_order_of_stored_times_is_time_order(one: datetime, other: datetime) -> None:
    assert (stored_time(one) < stored_time(other)) == (one < other)
    assert parse_time(stored_time(one), "start") == one


@given(st.text(max_size=40))
def test_any_text_is_either_a_time_or_refused(text: str) -> None:
    try:
        moment = parse_time(text, "start")
    except QueryError:
        return
    assert moment.utcoffset() == timedelta(0)
