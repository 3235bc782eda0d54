from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.calendar import BUCKETS, MAX_BUCKETS
from llm_metrics_proxy.analytics.changes import Changes, ChangesQuery, what_changed
from llm_metrics_proxy.analytics.costs import Costs
from llm_metrics_proxy.analytics.distribution import DistributionQuery, Histogram, distribute
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.heatmap import Heatmap, HeatmapQuery, map_heat
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.result import Result
from llm_metrics_proxy.analytics.slos import Slo
from llm_metrics_proxy.export.arrow import table_of
from llm_metrics_proxy.metrics_service import APP_VERSION
from tests.analytics.database import NOON, Database, a_record
from tests.api.service import NOW_UNIX_S, client

NOW: Final = datetime.fromtimestamp(NOW_UNIX_S, UTC)
SHAPES: Final[dict[str, Any]] = {
    "/api/v1/query": Result,
    "/api/v1/timeseries": Result,
    "/api/v1/breakdown": Result,
    "/api/v1/compare": Result,
    "/api/v1/distribution": Histogram,
    "/api/v1/heatmap": Heatmap,
}
START: Final = {"start": "2026-03-01T12:00:00Z", "end": "2026-03-01T13:00:00Z"}
HOUR: Final = RequestFilter(start=NOON, end=NOON + timedelta(hours=1))


@pytest.fixture
def filled(database: Database) -> Database:
    database.add(
        *(a_record(number * 60, model="ab"[number % 2], success=number % 5 > 0, tags="team=x") for number in range(50))
    )
    return database


@pytest.mark.parametrize("path", SHAPES)
def test_every_answer_has_the_shape_that_the_document_promises(filled: Database, path: str) -> None:
    response = client(filled).get(path, params=START)
    assert response.status_code == 200
    answer = msgspec.json.decode(response.content, type=SHAPES[path])
    assert (answer.app_version, answer.records, answer.source) == (APP_VERSION, 50, "records")


@pytest.mark.parametrize("path", SHAPES)
def test_the_example_of_the_document_has_the_shape_of_an_answer(database: Database, path: str) -> None:
    document = client(database).get("/openapi.json").json()
    example = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["example"]
    assert msgspec.json.decode(msgspec.json.encode(example), type=SHAPES[path]).app_version == APP_VERSION


def test_a_whole_query_reaches_the_question(filled: Database) -> None:
    parameters: dict[str, Any] = {
        **START,
        "metrics": "goodput, response_time_ms.p99.9",
        "group_by": "time,tag:team",
        "bucket": "15m",
        "timezone": "Asia/Kathmandu",
        "order": "-goodput",
        "limit": 3,
        "compare": "true",
        "slo": ["response_time_ms<2000", "time_to_first_token_ms<=120"],
        "model": "a",
    }
    body = client(filled).get("/api/v1/query", params=parameters).content
    query = Query(
        metrics=("goodput", "response_time_ms.p99.9"),
        group_by=("time", "tag:team"),
        filter=msgspec.structs.replace(HOUR, model="a"),
        bucket="15m",
        timezone="Asia/Kathmandu",
        order="-goodput",
        limit=3,
        compare=True,
        slos=(Slo("response_time_ms", "<", 2000.0), Slo("time_to_first_token_ms", "<=", 120.0)),
    )
    assert msgspec.json.decode(body, type=Result) == ask(filled.records.sources(), query, NOW)


def test_the_everyday_questions_are_queries_with_their_shape(filled: Database) -> None:
    http = client(filled)
    asked: dict[str, Any] = {
        name: msgspec.json.decode(http.get(f"/api/v1/{name}", params={**START, **more}).content, type=Result)
        for name, more in {
            "timeseries": {"by": "model", "bucket": "5m"},
            "breakdown": {"by": "model,streaming"},
            "compare": {},
        }.items()
    }
    assert (asked["timeseries"].query.group_by, len(asked["timeseries"].rows)) == (("time", "model"), 24)
    assert (asked["breakdown"].query.group_by, len(asked["breakdown"].rows)) == (("model", "streaming"), 2)
    assert asked["compare"].previous_start == NOON - timedelta(hours=1)
    assert asked["compare"].rows[0].values["requests"].previous == 0
    assert all("response_time_ms.p95" in one.query.metrics for one in asked.values())


def test_spread_and_heat_are_what_analytics_says(filled: Database) -> None:
    http, sources = client(filled), filled.records.sources()
    spread = http.get("/api/v1/distribution", params={**START, "metric": "total_tokens"}).content
    query = DistributionQuery(metric="total_tokens", filter=HOUR)
    assert msgspec.json.decode(spread, type=Histogram) == distribute(sources, query, NOW)
    heat = http.get("/api/v1/heatmap", params={**START, "metric": "success_rate", "y": "model"}).content
    of_models = HeatmapQuery(metric="success_rate", y="model", filter=HOUR)
    assert msgspec.json.decode(heat, type=Heatmap) == map_heat(sources, of_models, NOW)


@pytest.mark.parametrize(
    ("query", "parameter", "message"),
    [
        ("query?metrics=reqests", "metrics", "did you mean requests"),
        ("query?metrics=requests,", "metrics", "there is no metric ''"),
        ("query?metrics=response_time_ms", "metrics", "needs a statistic"),
        ("query?group_by=modle", "group_by", "did you mean model?"),
        ("query?group_by=time&bucket=fortnight", "bucket", "there is no bucket 'fortnight'; there are: minute, 5m"),
        ("query?bucket=hour", "bucket", "add it to group_by"),
        ("query?timezone=Mars/Olympus", "timezone", "give an IANA name such as Europe/Berlin"),
        ("query?order=-model", "order", "there is no metric or dimension 'model'"),
        ("query?limit=0", "limit", "greater than or equal to 1"),
        ("query?compare=yes", "compare", "it must be true or false"),
        ("query?compare=true", "start", "say when this one starts"),
        ("query?metrics=goodput", "slo", "goodput needs an SLO"),
        ("query?slo=fast", "slo", "'fast' is not an SLO"),
        ("query?by=model", "by", "there is no parameter 'by'; known are:"),
        ("query?metrics=requests&metrics=requests", "metrics", "metrics is given 2 times; once is enough"),
        ("query?start=2020-01-01&group_by=time&bucket=minute", "bucket", f"more than {MAX_BUCKETS} buckets"),
        ("timeseries?by=time", "group_by", "time is named twice"),
        ("breakdown?by=", "by", "at least 1 character"),
        ("compare", "start", "Field required"),
        ("compare?start=0001-01-01", "start", "before the calendar does"),
        ("distribution?metric=success_rate", "metric", "there is no metric with a distribution 'success_rate'"),
        ("heatmap?x=model&y=model", "y", "they must differ"),
        ("heatmap?metric=heat", "metrics", "there is no metric 'heat'"),
    ],
)
def test_a_wrong_question_is_refused_and_told_why(filled: Database, query: str, parameter: str, message: str) -> None:
    response = client(filled).get(f"/api/v1/{query}")
    assert response.status_code == 422
    error = response.json()["error"]
    assert (error["type"], error["parameter"]) == ("invalid_request", parameter)
    assert message in error["message"]


INJECTIONS: Final = (
    "'",
    "';DROP TABLE completion_requests;--",
    '"',
    ") OR 1=1--",
    "x' UNION SELECT 1--",
    "%00",
    "?1",
    "\x00",
)


@pytest.mark.grid
@pytest.mark.parametrize("path", SHAPES)
@pytest.mark.parametrize("text", INJECTIONS)
def test_sql_in_any_parameter_is_a_word_or_is_refused(filled: Database, path: str, text: str) -> None:
    http = client(filled)
    document = http.get("/openapi.json").json()
    names = [one["name"] for one in document["paths"][path]["get"]["parameters"]]
    assert len(names) > 20
    for name in names:
        response = http.get(path, params={**START, name: text})
        assert response.status_code in {200, 422}
        if response.status_code == 200:
            assert response.json()["records"] == 0  # it is the value of a filter, and nothing has it
    for name, shape in (
        ("group_by", "tag:{}"),
        ("by", "tag:{}"),
        ("x", "tag:{}"),
        ("metric", "{}.p50"),
        ("order", "-{}"),
    ):
        if name in names:
            assert http.get(path, params={**START, name: shape.format(text)}).status_code in {200, 422}
    assert http.get("/api/v1/summary").json()["requests"] == 50


def test_lists_and_buckets_are_documented(database: Database) -> None:
    document = client(database).get("/openapi.json").json()
    described = {one["name"]: one for one in document["paths"]["/api/v1/query"]["get"]["parameters"]}
    assert described["bucket"]["schema"]["enum"] == list(BUCKETS)
    assert described["slo"]["schema"]["type"] == "array"
    assert all(one["description"] for one in described.values())
    required = {one["name"] for one in document["paths"]["/api/v1/compare"]["get"]["parameters"] if one["required"]}
    assert required == {"start"}


def test_costs_are_one_answer(filled: Database) -> None:
    response = client(filled).get("/api/v1/costs", params={**START, "by": "model", "timezone": "Europe/Berlin"})
    answer = msgspec.json.decode(response.content, type=Costs)
    assert (answer.app_version, answer.timezone, len(answer.months)) == (APP_VERSION, "Europe/Berlin", 12)
    assert [row.key for row in answer.rows] == [{"model": "a"}, {"model": "b"}]
    refused = client(filled).get("/api/v1/costs", params={"by": "modle"})
    assert refused.status_code == 422
    assert "did you mean model" in refused.json()["error"]["message"]


def test_changes_are_those_of_the_question_and_its_example_has_their_shape(filled: Database) -> None:
    http = client(filled)
    asked = ChangesQuery(filter=HOUR)
    ours = msgspec.json.encode(what_changed(filled.records, asked, NOW, lambda: 0.0))
    assert http.get("/api/v1/changes", params=START).content == ours
    answer = http.get("/openapi.json").json()["paths"]["/api/v1/changes"]["get"]["responses"]["200"]
    example = msgspec.json.encode(answer["content"]["application/json"]["example"])
    assert msgspec.json.decode(example, type=Changes).app_version == APP_VERSION
    assert http.get("/api/v1/changes").status_code == 422
    refused = http.get("/api/v1/changes", params={**START, "limit": 21})
    assert (refused.status_code, refused.json()["error"]["parameter"]) == (422, "limit")


def test_weeks_begin_on_the_day_asked_for_and_parts_of_buckets_are_marked(filled: Database) -> None:
    http = client(filled)
    params = {"start": "2026-02-16", "end": "2026-02-23", "group_by": "time", "bucket": "week"}
    monday, sunday = (
        http.get("/api/v1/query", params={**params, "week_start": day}).json()["rows"] for day in ("monday", "sunday")
    )
    assert [(row["key"]["time"], row.get("partial")) for row in monday] == [("2026-02-16T00:00:00Z", None)]
    assert [(row["key"]["time"], row.get("partial")) for row in sunday] == [
        ("2026-02-15T00:00:00Z", True),
        ("2026-02-22T00:00:00Z", True),
    ]
    refused = http.get("/api/v1/query", params={**params, "week_start": "sundae"})
    assert refused.status_code == 422
    assert "sunday" in refused.json()["error"]["message"]
    heat = http.get("/api/v1/heatmap", params={"week_start": "sunday"}).json()
    assert heat["y"] == [7, 1, 2, 3, 4, 5, 6]


def test_a_comparison_says_of_how_many_records_and_which_groups_are_new_or_gone(database: Database) -> None:
    database.add(*(a_record(at, model=model) for at, model in ((60, "new"), (-60, "gone"), (-60, "b"), (1, "b"))))
    params = {**START, "by": "model", "metrics": "requests"}
    rows = client(database).get("/api/v1/compare", params=params).json()["rows"]
    found = {row["key"]["model"]: (row.get("presence"), row["values"]["requests"]["previous_n"]) for row in rows}
    assert found == {"new": ("new", 0), "gone": ("gone", 1), "b": (None, 1)}


ARROW: Final = "application/vnd.apache.arrow.stream"
PARQUET: Final = "application/vnd.apache.parquet"


@pytest.mark.parametrize(
    ("more", "accepted", "media_type"),
    [
        ({}, "*/*", "application/json"),
        ({}, ARROW, ARROW),
        ({}, f"{PARQUET}, application/json;q=0.5", PARQUET),
        ({"format": "arrow"}, "application/json", ARROW),
        ({"format": "parquet"}, "*/*", PARQUET),
        ({"format": "json"}, ARROW, "application/json"),
    ],
)
def test_a_query_comes_as_the_table_that_is_asked_for(
    filled: Database, more: dict[str, str], accepted: str, media_type: str
) -> None:
    http = client(filled)
    asked = {**START, "metrics": "requests,response_time_ms.p95", "group_by": "time,model", **more}
    response = http.get("/api/v1/query", params=asked, headers={"Accept": accepted})
    assert (response.status_code, response.headers["content-type"]) == (200, media_type)
    assert response.headers["vary"] == "Accept"
    plain = http.get("/api/v1/query", params={**asked, "format": "json"})
    result = msgspec.json.decode(plain.content, type=Result)
    if media_type == ARROW:
        assert pa.ipc.open_stream(response.content).read_all().equals(table_of(result))
    elif media_type == PARQUET:
        assert pq.read_table(pa.BufferReader(response.content)).equals(table_of(result))
    else:
        assert response.content == plain.content


def test_an_answer_that_is_kept_is_kept_for_each_format(filled: Database) -> None:
    http, kinds = client(filled), []
    for accepted in (ARROW, "application/json", ARROW):
        headers = {"Accept": accepted, "Cache-Control": "max-age=60"}
        kinds.append(http.get("/api/v1/query", params=START, headers=headers).headers["content-type"])
    assert kinds == [ARROW, "application/json", ARROW]


def test_what_goes_wrong_is_json_whatever_is_asked_for(filled: Database) -> None:
    for asked in ("metrics=reqests&format=arrow", "format=xlsx"):
        response = client(filled).get(f"/api/v1/query?{asked}", headers={"Accept": PARQUET})
        assert (response.status_code, response.json()["error"]["type"]) == (422, "invalid_request")
    assert "there are: json, arrow, parquet" in response.json()["error"]["message"]
