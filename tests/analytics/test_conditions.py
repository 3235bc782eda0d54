"""Conditions as text and as values: what is read, what is refused and how, and that nothing is lost on the way."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_metrics_proxy.analytics.conditions import (
    COMPARISONS,
    CONDITIONED,
    MAX_CHARS,
    MAX_CONDITIONS,
    MAX_VALUES,
    NO_VALUE,
    WORDS,
    Condition,
    condition_in,
    parse_condition,
    parse_conditions,
)
from llm_metrics_proxy.analytics.filters import RequestFilter, filter_of, stored_time
from llm_metrics_proxy.columns import STATUS
from llm_metrics_proxy.errors import QueryError

_INTEGERS = st.integers(-(2**63), 2**63 - 1)
_NUMBERS = _INTEGERS | st.floats(allow_nan=False, allow_infinity=False)
_WORD = st.text(st.sampled_from("ab ,\\()=<>!né\t\n"), max_size=8) | st.text(max_size=12)


def values(name: str, op: str) -> st.SearchStrategy[Any]:
    column = CONDITIONED[name]
    if column.kind.holds == "time":
        return st.datetimes().map(stored_time)
    if column.kind.holds == "flag":
        return st.booleans()
    if column.kind is STATUS and op not in COMPARISONS:
        return st.integers(100, 599)
    if column.kind.holds == "integer" and op not in COMPARISONS:
        return _INTEGERS
    if column.kind.holds in ("integer", "number"):
        return _NUMBERS
    if name in WORDS:
        return st.sampled_from(WORDS[name])
    return _WORD.map(lambda text: f"{text}=" if name == "tag" else text)


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    name = draw(st.sampled_from(sorted(CONDITIONED)))
    holds = CONDITIONED[name].kind.holds
    ordered = holds in ("integer", "number", "time")
    ops = [*(() if holds == "time" else ("=", "!=")), *(COMPARISONS if ordered else ())]
    op = draw(st.sampled_from(ops))
    if op in COMPARISONS:
        return Condition(name, op, (draw(values(name, op)),))
    each = values(name, op) if name == "tag" else values(name, op) | st.none()
    return Condition(name, op, tuple(draw(st.lists(each, min_size=1, max_size=4))))


@given(conditions())
@example(Condition("agent_id", "=", (",",)))
@example(Condition("model", "!=", ("a,", "\\,")))
def test_what_is_written_is_read_as_it_was(condition: Condition) -> None:
    assert parse_condition(str(condition)) == condition


@given(conditions())
def test_a_query_string_carries_it(condition: Condition) -> None:
    name, _, value = str(condition).partition("=")  # as every reader of query strings cuts it
    text = condition_in(name, value)
    assert text is not None
    assert parse_condition(text) == condition


@given(st.lists(conditions(), max_size=5))
def test_a_filter_has_all_conditions_that_it_was_made_of(given_: list[Condition]) -> None:
    def as_set(found: Any) -> set[tuple[str, str, Any]]:
        return {
            (one.name, one.op, value)
            for one in found
            for value in (one.values if (one.name, one.op) == ("tag", "=") else [one.values])
        }

    assert as_set(filter_of(given_).conditions) == as_set(given_)


@given(st.text(max_size=60))
def test_any_text_is_a_condition_or_is_refused_with_a_short_message(text: str) -> None:
    for line in (text, f"model={text}", f"response_time_ms>{text}", f"{text}>1", f"tag!={text}"):
        refusal = ""
        try:
            condition = parse_condition(line)
        except QueryError as error:
            refusal = str(error)
        assert len(refusal) < 400
        assert refusal or parse_condition(str(condition)) == condition


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("model=a", ("model", "=", ("a",))),
        ("model = a , b", ("model", "=", ("a", "b"))),
        ("model==a", ("model", "=", ("a",))),
        (r"model!=a\,b,c", ("model", "!=", ("a,b", "c"))),
        (r"model=C:\x\\y", ("model", "=", ("C:\\x\\y",))),
        (r"model=\ a\ ", ("model", "=", (" a ",))),
        (r"model=\(),()", ("model", "=", ("", "()"))),
        ("model=\\", ("model", "=", ("\\",))),
        ("user=(none),x", ("user", "=", (None, "x"))),
        (r"user=\(none)", ("user", "=", ("(none)",))),
        ("tag=a=1,b=x=2", ("tag", "=", ("a=1", "b=x=2"))),
        ("tags!=a=1", ("tag", "!=", ("a=1",))),
        ("response_time_ms>5e3", ("response_time_ms", ">", (5000,))),
        ("response_time_ms>=.5", ("response_time_ms", ">=", (0.5,))),
        ("prompt_tokens<1.5", ("prompt_tokens", "<", (1.5,))),
        ("retries!=0", ("retries", "!=", (0,))),
        ("status_code=500,503", ("status_code", "=", (500, 503))),
        ("status_code>=500", ("status_code", ">=", (500,))),
        ("cost_usd!=(none)", ("cost_usd", "!=", (None,))),
        ("is_streaming=false", ("streaming", "=", (False,))),
        ("timestamp<2026-01-31T01:00+01:00", ("timestamp", "<", ("2026-01-31T00:00:00.000000Z",))),
    ],
)
def test_a_line_is_read(text: str, found: tuple[str, str, tuple[Any, ...]]) -> None:
    assert parse_condition(text) == Condition(*found)


@pytest.mark.parametrize(
    ("text", "parameter", "message"),
    [
        ("", "where", "'' is not a condition: give one such as model!=a,b or response_time_ms>5000"),
        ("model", "where", "'model' is not a condition"),
        ("modle=a", "modle", "there is no column 'modle'; did you mean model"),
        ("respons_time_ms>5", "respons_time_ms", "did you mean response_time_ms"),
        ("zzz>5", "zzz", "there is no column 'zzz'; docs/metrics.md lists them"),
        ("model>a", "model", "model has no order: compare it by = or !="),
        ("streaming>1", "streaming", "streaming has no order"),
        ("response_time_ms>abc", "response_time_ms", "response_time_ms: 'abc' is not a number"),
        ("response_time_ms>1,2", "response_time_ms", "'1,2' is not a number"),
        ("response_time_ms>nan", "response_time_ms", "'nan' is not a number"),
        ("response_time_ms>1e999", "response_time_ms", "is not a number"),
        ("response_time_ms>", "response_time_ms", "a value is missing; for records without one, write (none)"),
        ("response_time_ms>(none)", "response_time_ms", "compares with one number"),
        ("prompt_tokens>" + "9" * 30, "prompt_tokens", "is beyond all that is stored"),
        ("prompt_tokens=1.5", "prompt_tokens", "1.5 is not a whole number"),
        ("model=a,,b", "model", "a value is missing"),
        ("model=" + "a," * MAX_VALUES + "a", "model", f"there are {MAX_VALUES + 1} values; at most {MAX_VALUES}"),
        ("model=" + "a" * MAX_CHARS, "where", f"at most {MAX_CHARS} characters"),
        ("status_code=99", "status_code", "99 is not an HTTP status"),
        ("outcome!=nonsense", "outcome", "there is no outcome 'nonsense'; there are: completed"),
        ("streaming=1", "streaming", "it must be true or false, not '1'"),
        ("tag!=red", "tag", "'red' is not a tag: give k=v"),
        ("tag=(none),a=b", "tag", "is no tag"),
        ("timestamp=2026-01-31", "timestamp", "compare timestamp by >, >=, <, <=, or use start and end"),
        ("timestamp>yesterday", "timestamp", "'yesterday' is not an ISO 8601 date or time"),
        ("unfit_values=x", "unfit_values", "there is no column"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(text: str, parameter: str, message: str) -> None:
    with pytest.raises(QueryError) as refused:
        parse_condition(text)
    assert message in str(refused.value)
    assert refused.value.parameter == parameter


def test_there_is_a_bound_on_their_number() -> None:
    with pytest.raises(QueryError, match=f"at most {MAX_CONDITIONS}"):
        parse_conditions(["model=a"] * (MAX_CONDITIONS + 1))
    with pytest.raises(QueryError, match=f"at most {MAX_CONDITIONS}"):
        RequestFilter(where=(parse_condition("model!=a"),) * (MAX_CONDITIONS + 1))


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("model=a", RequestFilter(model="a")),
        ("model=a,b", RequestFilter(where=(Condition("model", "=", ("a", "b")),))),
        ("tag=a=1,b=2", RequestFilter(tag="a=1,b=2")),
        ("streaming=true", RequestFilter(streaming=True)),
        ("app_version=(none)", RequestFilter(app_version=NO_VALUE)),
        ("user=(none)", RequestFilter(where=(Condition("user", "=", (None,)),))),
        ("retries=0", RequestFilter(where=(Condition("retries", "=", (0,)),))),
    ],
)
def test_one_value_is_the_field_of_its_column(text: str, chosen: RequestFilter) -> None:
    assert filter_of(parse_conditions([text])) == chosen


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("model", "a,b", "model=a,b"),
        ("model!", "a", "model!=a"),
        ("response_time_ms>5000", "", "response_time_ms>5000"),
        ("response_time_ms>", "5000", "response_time_ms>=5000"),
        ("response_time_ms>=5000", "", "response_time_ms>=5000"),
        ("model!=a", "", "model!=a"),
        ("limit", "5", None),
    ],
)
def test_a_parameter_is_a_condition_where_it_has_an_operator_or_a_column(
    name: str, value: str, text: str | None
) -> None:
    assert condition_in(name, value) == text
