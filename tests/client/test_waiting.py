"""The client against a real API on a socket."""

import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from llm_metrics_proxy.analytics.summary import Summary
from llm_metrics_proxy.client import (
    ApiRefusedError,
    ApiUnreachableError,
    AsyncMetricsClient,
    MetricsClient,
    QueryError,
    UnknownAnswerError,
)
from llm_metrics_proxy.client.questions import Question
from llm_metrics_proxy.metrics_service import APP_VERSION
from tests.analytics.database import NOON
from tests.client.conftest import TOKEN
from tests.client.served import Answered, answering, unused_url

HOUR: Any = {"since": NOON, "until": NOON + timedelta(hours=1)}


def test_a_query_is_typed_and_becomes_a_data_frame(metrics: MetricsClient) -> None:
    found = metrics.query(["requests", "response_time_ms.p95"], by="model", **HOUR)
    assert (found.app_version, found.records) == (APP_VERSION, 12)
    assert [row.key["model"] for row in found.rows] == ["a", "b"]
    polars = found.to_polars()
    assert polars["requests"].to_list() == [6, 6]
    pandas = found.to_pandas()
    assert (str(pandas["requests"].dtype), str(pandas["response_time_ms.p95"].dtype)) == ("Int64", "float64")
    assert found.to_arrow().schema.field("response_time_ms.p95").metadata[b"unit"] == b"ms"


def test_the_table_is_the_one_that_the_api_gives_as_arrow(metrics: MetricsClient, url: str) -> None:
    table = metrics.query("requests,success_rate", by="time,model", bucket="5m", timezone="Europe/Berlin", **HOUR)
    asked = {"metrics": "requests,success_rate", "group_by": "time,model", "bucket": "5m", "timezone": "Europe/Berlin"}
    times = {"start": "2026-03-01T12:00:00+00:00", "end": "2026-03-01T13:00:00+00:00", "week_start": "monday"}
    response = httpx2.get(
        f"{url}/api/v1/query",
        params={**asked, **times, "format": "arrow"},
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    theirs = pa.ipc.open_stream(response.content).read_all()
    assert table.to_arrow().equals(theirs)
    assert table.to_arrow().schema.equals(theirs.schema, check_metadata=True)


def test_every_question_has_an_answer_of_its_type(metrics: MetricsClient) -> None:
    assert metrics.summary(**HOUR).requests == 12
    assert [(one.type, one.n) for one in metrics.errors(examples=1, **HOUR).types] == [("internal", 3)]
    page = metrics.sessions(order="-requests", **HOUR)
    assert {row.session_id for row in page.items} == {"session 0", "session 1"}
    assert metrics.session("session 1", limit=2).session.requests == 6
    assert metrics.changes(**HOUR).requests == 12
    assert metrics.costs("user", **HOUR).total["cost_usd"].value == 3.0
    assert metrics.query(compare=True, **HOUR).rows[0].values["requests"].previous == 0
    assert metrics.query("goodput", slo="response_time_ms<1003", **HOUR).rows[0].values["goodput"].value == 0.25


def test_a_selection_is_moments_columns_and_conditions(metrics: MetricsClient) -> None:
    def count(**selection: Any) -> int:
        return metrics.summary(**{**HOUR, **selection}).requests

    assert count(model="a") == 6
    assert count(model=["a", "b"], status_code=[500, 502]) == 3
    assert count(success=False) == 3
    assert count(user=None) == 1
    assert count(tag="place=a b") == 12
    assert count(where="response_time_ms>=1006") == 6
    assert count(where=["response_time_ms>=1006", "model!=a"]) == 3
    assert count(since="2026-03-01T12:05:00Z") == 7
    assert count(since=datetime(2026, 3, 1, 12, 11, tzinfo=UTC), until=None) == 1
    assert count(since=timedelta(days=36500), until=None) == 12
    with pytest.raises(QueryError, match="did you mean model"):
        count(modle="a")
    with pytest.raises(QueryError, match="or give an age such as 24h"):
        count(since="yesterday")


def test_pages_of_records_and_all_of_them(metrics: MetricsClient, tmp_path: Path) -> None:
    page = metrics.requests(limit=5, order="-response_time_ms", **HOUR)
    assert [item["response_time_ms"] for item in page.items] == [1011, 1010, 1009, 1008, 1007]
    following = metrics.requests(limit=5, order="-response_time_ms", cursor=page.next_cursor, **HOUR)
    assert following.items[0]["response_time_ms"] == 1006
    everything = list(metrics.each_request(page=5, **HOUR))
    assert len({item["request_id"] for item in everything}) == 12
    exported = metrics.records("timestamp,model,cost_usd", **HOUR)
    assert pq.read_table(exported.save(tmp_path / "records.parquet")).equals(exported.to_arrow())
    assert exported.to_polars()["cost_usd"].sum() == 3.0


def test_a_page_has_the_types_of_an_export(metrics: MetricsClient) -> None:
    page = metrics.requests(order="timestamp", **HOUR).to_arrow()
    exported = metrics.records(**HOUR).to_arrow()
    assert page.schema.equals(exported.schema, check_metadata=True)
    assert page.sort_by("arrival").equals(exported.sort_by("arrival"))
    assert metrics.requests(model="nobody", **HOUR).to_arrow().schema.equals(exported.schema)


def test_sessions_are_a_table(metrics: MetricsClient) -> None:
    table = metrics.sessions(**HOUR).to_arrow()
    types = {field.name: str(field.type) for field in table.schema}
    assert (types["requests"], types["cost_usd"], types["is_live"]) == ("int64", "double", "bool")
    assert types["models"] == "list<item: string>"
    assert types["first_request"] == "timestamp[us, tz=UTC]"
    assert sorted(table["requests"].to_pylist()) == [6, 6]
    assert metrics.sessions(model="nobody", **HOUR).to_polars().shape[0] == 0


@pytest.mark.parametrize(
    ("ask", "status", "kind", "parameter", "message"),
    [
        (lambda one: one.query("reqests"), 422, "invalid_request", "metrics", "did you mean requests"),
        (lambda one: one.session("nobody's"), 404, "not_found", "session_id", "no record has this session_id"),
        (lambda one: one.query(compare=True), 422, "invalid_request", "start", "say when this one starts"),
    ],
)
def test_a_refusal_says_what_is_wrong(
    metrics: MetricsClient, ask: Callable[[MetricsClient], object], status: int, kind: str, parameter: str, message: str
) -> None:
    with pytest.raises(ApiRefusedError, match=message) as caught:
        ask(metrics)
    assert (caught.value.status, caught.value.kind, caught.value.parameter) == (status, kind, parameter)


def test_without_the_token_it_says_so_and_tries_once(url: str) -> None:
    with MetricsClient(url) as client, pytest.raises(ApiRefusedError, match="Authorization: Bearer TOKEN") as caught:
        client.summary()
    assert caught.value.status == 401


def test_where_nothing_listens_it_says_what_to_start() -> None:
    with (
        MetricsClient(unused_url(), attempts=2) as client,
        pytest.raises(ApiUnreachableError, match=r"nothing answers at http://127.0.0.1.*llm-metrics-proxy serve"),
    ):
        client.summary()


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost:8002",
        "ftp://host",
        "http://",
        "http://[::1",
        5,
        "http://h:99999",
        "http://h/?",
        "http://a b",
        "http://h\n",
    ],
)
def test_an_address_that_is_none_is_refused_at_once(address: Any) -> None:
    with pytest.raises(ApiUnreachableError, match="give one such as"):
        MetricsClient(address)


def shown(error: BaseException) -> str:
    """As a notebook shows it, with what it came from."""
    return "".join(traceback.format_exception(error, limit=0))


@pytest.mark.parametrize(
    "address",
    ["http://user:ZZpw@host", "http://ZZpw@host", "http://host/?key=ZZpw", "http://host/#ZZpw", "http://user:ZZpw"],
)
def test_secrets_in_an_address_are_refused_and_not_shown(address: str) -> None:
    with pytest.raises(ApiUnreachableError, match="no user, password, query or fragment") as caught:
        MetricsClient(address)
    assert "ZZ" not in shown(caught.value)


@pytest.mark.parametrize("token", ["ZZsecret\n", "ZZ secret", "ZZ\x00", "", "ZZü", b"ZZsecret"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(token: Any) -> None:
    with pytest.raises(QueryError, match="token: it is empty, or has") as caught:
        MetricsClient("http://host", token)
    assert caught.value.parameter == "token"
    assert "ZZ" not in shown(caught.value)


def test_what_cannot_be_written_as_http_is_not_tried_again_and_not_shown() -> None:
    tried = []

    def illegal(request: httpx2.Request) -> httpx2.Response:
        tried.append(request)
        raise httpx2.LocalProtocolError("Illegal header value b'Bearer ZZsecret'")

    with (
        MetricsClient(transport=httpx2.MockTransport(illegal)) as client,
        pytest.raises(ApiUnreachableError, match="cannot be written as HTTP") as caught,
    ):
        client.summary()
    assert len(tried) == 1
    assert "ZZ" not in shown(caught.value)


@pytest.mark.parametrize("timeout_s", [-1, 0, float("nan"), float("inf"), None, "5"])
def test_a_timeout_that_is_none_is_refused(timeout_s: Any) -> None:
    with pytest.raises(QueryError, match="timeout_s: give seconds above 0") as caught:
        MetricsClient(timeout_s=timeout_s)
    assert caught.value.parameter == "timeout_s"


WRONG: list[tuple[str, str, Any]] = [
    *((verb, "where", wrong) for verb in ("summary", "records") for wrong in (5, None, [5], b"x", {"a": "b"})),
    *(("requests", "model", wrong) for wrong in (object(), {"a": 1}, [["a"]], b"a")),
    *(("query", name, wrong) for name in ("metrics", "by", "slo") for wrong in (5, [1], None)),
    ("costs", "by", 5), ("records", "columns", 5),
    ("session", "session_id", 5), ("session", "session_id", "\ud800"), ("query", "bucket", "\udc00"),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "name", "wrong"), WRONG)
def test_an_argument_of_a_wrong_type_is_named_before_anything_is_asked(verb: str, name: str, wrong: Any) -> None:
    with MetricsClient(unused_url()) as metrics, pytest.raises(QueryError, match=f"^{name}: .*give text") as refused:
        getattr(metrics, verb)(**{name: wrong})
    assert refused.value.parameter == name


@pytest.mark.parametrize("attempts", ["3", None, 1.5])
def test_attempts_are_a_whole_number(attempts: Any) -> None:
    for kind in (MetricsClient, AsyncMetricsClient):
        with pytest.raises(QueryError, match="attempts: give a whole number"):
            kind(attempts=attempts)


def test_a_client_that_is_closed_says_so() -> None:
    client = MetricsClient()
    client.close()
    with pytest.raises(QueryError, match="this client is closed: make a new one"):
        client.summary()


def an_answer(version: str = APP_VERSION) -> bytes:
    return msgspec.json.encode({"app_version": version, "items": [], "next_cursor": None})


BUSY = msgspec.json.encode({"error": {"type": "store_busy", "message": "busy", "parameter": None}})


@pytest.mark.parametrize(
    "first",
    [None, (503, {"Retry-After": "0"}, BUSY), (502, {}, b"<html>Bad Gateway"), (503, {"Retry-After": "soon"}, BUSY)],
)
def test_what_passes_by_itself_is_tried_again(first: Answered | None) -> None:
    with (
        answering(lambda number, _: first if number == 0 else (200, {}, an_answer())) as (address, got),
        MetricsClient(f"{address}/llm/", "t") as client,
    ):
        assert client.requests(limit=1).items == []
    assert len(got) == 2
    assert got[0]["path"].startswith("/llm/api/v1/requests?limit=1")
    assert got[0]["Authorization"] == "Bearer t"
    assert got[0]["User-Agent"] == f"llm-metrics-proxy-client/{APP_VERSION}"


@pytest.mark.parametrize(
    ("told", "attempts", "message"),
    [
        ((503, {"Retry-After": "0"}, BUSY), 3, "busy"),
        ((503, {"Retry-After": "900"}, BUSY), 1, "busy"),
        ((429, {"Retry-After": "1"}, BUSY.replace(b"store_busy", b"too_many_attempts")), 1, "busy"),
        ((500, {}, BUSY), 1, "busy"),
    ],
)
def test_what_does_not_pass_soon_is_told(told: Answered, attempts: int, message: str) -> None:
    with (
        answering(lambda *_: told) as (address, got),
        MetricsClient(address) as client,
        pytest.raises(ApiRefusedError, match=message) as caught,
    ):
        client.summary()
    assert len(got) == attempts
    assert caught.value.retry_after_s == (float(told[1]["Retry-After"]) if told[1] else None)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ((404, {}, b"<h1>Not here</h1>"), "is no metrics API: 404, '<h1>Not here</h1>'"),
        ((302, {"Location": "/login"}, b""), "is no metrics API: 302"),
        ((200, {}, b"<html>"), "is no metrics API: its answer is not JSON"),
        ((200, {}, b'{"app_version":"9.0.0"}'), "version 9.0.0, cannot be read by this client.*install the same"),
    ],
)
def test_an_answer_that_cannot_be_read_is_told_as_that(told: Answered, message: str) -> None:
    with (
        answering(lambda *_: told) as (address, _),
        MetricsClient(address) as client,
        pytest.raises(UnknownAnswerError, match=message),
    ):
        client.summary()


def test_too_long_an_answer_is_not_asked_for_again() -> None:
    def slow(*_: object) -> httpx2.Response:
        raise httpx2.ReadTimeout("slow")

    with (
        MetricsClient(transport=httpx2.MockTransport(slow)) as client,
        pytest.raises(ApiUnreachableError, match="takes too long: ask about less"),
    ):
        client.summary()


def test_a_question_of_ones_own_can_be_asked(metrics: MetricsClient) -> None:
    raw = metrics.ask(Question("summary", [("model", "a")], dict[str, Any]))
    assert msgspec.convert(raw, Summary).requests == 6
