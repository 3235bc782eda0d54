from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.requests import Request

from llm_metrics_proxy.analytics import ErrorsQuery, RequestFilter
from llm_metrics_proxy.api.parameters import ErrorsParameters, FilterParameters, KnownOnly, ListParameters
from llm_metrics_proxy.errors import QueryError
from tests.analytics.database import Database, a_record
from tests.api.service import client


def asked(query: str) -> Request:
    return Request({"type": "http", "query_string": query.encode(), "headers": []})


def test_parameters_and_the_conditions_of_a_filter_are_the_same_list() -> None:
    assert tuple(FilterParameters.model_fields) == RequestFilter.__struct_fields__


def test_nothing_given_is_no_condition() -> None:
    assert FilterParameters().to_filter() == RequestFilter()


def test_words_become_values() -> None:
    parameters = FilterParameters.model_validate(
        {"start": "2026-01-01", "streaming": "false", "success": "true", "status_code": "404", "model": "m"}
    )
    assert parameters.to_filter() == RequestFilter(
        start=datetime(2026, 1, 1, tzinfo=UTC), streaming=False, success=True, status_code=404, model="m"
    )


def test_the_errors_take_a_filter_and_a_number_of_examples() -> None:
    parameters = ErrorsParameters.model_validate({"error_category": "limit", "examples": "3"})
    assert parameters.to_query() == ErrorsQuery(filter=RequestFilter(error_category="limit"), examples=3)
    assert ErrorsParameters().to_query() == ErrorsQuery()
    with pytest.raises(ValidationError, match="100"):
        ErrorsParameters.model_validate({"examples": "101"})


@pytest.mark.parametrize("word", ["True", "1", "yes", "on", "null", " true", ""])
def test_a_flag_is_one_of_two_words(word: str) -> None:
    with pytest.raises(ValidationError, match="true or false"):
        FilterParameters.model_validate({"success": word})


@pytest.mark.parametrize("parameters", [FilterParameters, ListParameters, ErrorsParameters])
def test_every_parameter_says_what_it_means_and_none_can_be_null(parameters: type[FilterParameters]) -> None:
    for name, schema in parameters.model_json_schema()["properties"].items():
        assert schema["description"], name
        assert "null" not in str(schema.get("type", schema)), name


def test_times_say_what_a_missing_zone_means() -> None:
    properties = FilterParameters.model_json_schema()["properties"]
    assert "without a zone is UTC" in properties["start"]["description"]
    assert "without a zone is UTC" in properties["end"]["description"]


def test_unknown_and_repeated_parameters_are_refused_by_name() -> None:
    KnownOnly(ListParameters)(asked("model=a&limit=5"))
    KnownOnly()(asked(""))
    with pytest.raises(QueryError, match="known are: start, end, model") as caught:
        KnownOnly(ListParameters)(asked("modle=a"))
    assert caught.value.parameter == "modle"
    with pytest.raises(QueryError, match="2 times"):
        KnownOnly(ListParameters)(asked("model=a&model=a"))
    with pytest.raises(QueryError, match="none here"):
        KnownOnly()(asked("model=a"))
    with pytest.raises(QueryError) as caught:
        KnownOnly()(asked(f"{'x' * 5000}=a"))
    assert len(caught.value.parameter) <= 64


@pytest.mark.parametrize(
    "query",
    [
        "model!=a,b&response_time_ms>5000&status_code=500,503",
        "model%21=a%2Cb&response_time_ms%3E5000&status_code=500%2C503",
        "where=model!%3Da,b&where=response_time_ms%3E5000&status_code=500,503",
        "model!=a%2Cb&response_time_ms>5000=&where=status_code%3D500,503",
    ],
)
def test_conditions_stand_in_a_query_string_as_they_are(database: Database, query: str) -> None:
    records: Any = [{"model": "a"}, {"model": "c"}, {"model": "c", "response_time_ms": 6000.0, "status_code": 503}]
    database.add(*(a_record(number, **facts) for number, facts in enumerate(records)))
    found = client(database).get(f"/api/v1/requests?{query}").json()
    assert [item["arrival"] for item in found["items"]] == [3]
    assert client(database).get(f"/api/v1/summary?{query}").json()["requests"] == 1


@pytest.mark.parametrize(
    ("query", "parameter", "message"),
    [
        ("modle!=a", "modle", "did you mean model"),
        ("response_time_ms>soon", "response_time_ms", "'soon' is not a number"),
        ("where=nonsense", "where", "is not a condition"),
        ("model=a&model=b", "model", "for any of several, write model=a,b"),
        ("order=respons_time_ms", "order", "did you mean response_time_ms"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused_in_words(
    database: Database, query: str, parameter: str, message: str
) -> None:
    response = client(database).get(f"/api/v1/requests?{query}")
    assert response.status_code == 422
    assert response.json()["error"]["parameter"] == parameter
    assert message in response.json()["error"]["message"]


def test_requests_come_in_the_order_asked_for_page_by_page(database: Database) -> None:
    database.add(*(a_record(number, response_time_ms=time) for number, time in enumerate((5.0, None, 9.0, 7.0))))
    http, found, cursor = client(database), [], None
    while True:
        more: dict[str, str] = {} if cursor is None else {"cursor": cursor}
        page = http.get("/api/v1/requests", params={"order": "-response_time_ms", "limit": 1, **more}).json()
        found += [item["arrival"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == [3, 4, 1, 2]
