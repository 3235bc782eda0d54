"""The answer: what servers said beside what records say, and every number is DuckDB's over the same values."""

from datetime import timedelta
from typing import Any, Final

import duckdb
import msgspec
import pytest

from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.servers.readings import LoadedModel, ServerReading
from llm_metrics_proxy.servers.report import Servers, ServersPort, ServersQuery, servers_report
from llm_metrics_proxy.servers.seen import AskingState, Seen, ServerSeen
from llm_metrics_proxy.storage.sampled import QUARTER_S, SERVER, Gauge, ServerSample, encoded
from tests.analytics.database import NOON, Database, a_record

START, END = NOON, NOON + timedelta(hours=1)
_SEEN: Final = Seen(
    (
        ServerSeen(
            "a", AskingState.TELLS, "vLLM", 10.0, 10.0,
            ServerReading("vLLM", {"running": 3.0}, models=(LoadedModel("m"),)), 2,
        ),
        ServerSeen("b", AskingState.SILENT),
    )
)  # fmt: skip


def a_sample(minute: int, name: str = "a", grain_s: int = 60, waiting: float = 1.0) -> ServerSample:
    gauges = {
        "waiting": Gauge(12, 0.0, 12 * waiting, waiting * 2, 5 if waiting else 0),
        "kv_cache_ratio": Gauge(12, 0.1, 12 * 0.5, 0.7, 0),
    }
    sums = {"generation_tokens": 600.0 + minute, "counted_s": 60.0, "queue_s": 1.5, "queued": 6.0}
    return ServerSample(grain_s, int(NOON.timestamp()) + minute * 60, SERVER, name, 12, 11, gauges, sums, ("m",))


def some_records() -> list[RequestRecord]:
    return [
        a_record(
            number * 31,
            backend_name="a" if number % 3 else "b",
            time_to_first_token_ms=100.0 + number * 7 % 53 * 11,
            request_sent_ms=2.0 + number % 5,
            server_prompt_ms=20.0 + number if number % 3 else None,
            is_streaming=number % 7 != 0,
            success=number % 11 != 0,
            outcome="completed" if number % 11 else "upstream_error",
        )
        for number in range(1, 100)
    ]


def asked(database: Database, samples: list[ServerSample], seen: Seen = _SEEN, **query: Any) -> Servers:
    port = ServersPort(lambda: seen, lambda _start, _end: samples, "one")
    return servers_report(database.records, port, ServersQuery(**{"start": START, "end": END, **query}), END)


def test_what_the_proxy_sees_of_a_server_is_what_duckdb_sees(database: Database) -> None:
    records = some_records()
    database.add(*records)
    facts = [msgspec.structs.asdict(record) for record in records]
    witness = duckdb.connect()
    witness.execute(
        "CREATE TABLE records AS SELECT unnest($rows, recursive := true)",
        {"rows": [{name: fact[name] for name in (
            "backend_name", "timestamp", "time_to_first_token_ms", "request_sent_ms", "server_prompt_ms",
            "is_streaming", "success",
        )} for fact in facts]},
    )  # fmt: skip
    answer = asked(database, [])
    for server in answer.servers:
        [(n, p50, p95)] = witness.execute(
            "SELECT count(*), quantile_cont(time_to_first_token_ms, 0.5), quantile_cont(time_to_first_token_ms, 0.95) "
            "FROM records WHERE backend_name = ?",
            [server.name],
        ).fetchall()
        [(first, before, queue)] = witness.execute(
            "SELECT avg(time_to_first_token_ms), avg(time_to_first_token_ms) - avg(request_sent_ms), "
            "avg(time_to_first_token_ms) - avg(request_sent_ms) - avg(server_prompt_ms) FROM records "
            "WHERE backend_name = ? AND is_streaming AND success",
            [server.name],
        ).fetchall()
        it = server.totals
        assert (it["requests"], it["first_token_p50_ms"], it["first_token_p95_ms"]) == pytest.approx((n, p50, p95))
        assert it["first_token_mean_ms"] == pytest.approx(first)
        assert it["server_first_token_ms"] == pytest.approx(before)
        assert it["seen_queue_ms"] == (None if queue is None else pytest.approx(queue))
        assert sum(filter(None, server.series["requests"])) == n
    assert [server.totals["requests"] for server in answer.servers] == [66, 33]


def test_what_a_server_said_is_what_duckdb_reads_of_the_stored_json(database: Database) -> None:
    samples = [a_sample(minute, waiting=minute % 4) for minute in range(60)]
    witness = duckdb.connect()
    witness.execute("CREATE TABLE samples (asked INTEGER, answered INTEGER, said JSON)")
    witness.executemany("INSERT INTO samples VALUES (?, ?, ?)", [(12, 11, encoded(one)) for one in samples])
    [(mean, most, share, speed, queue, answered)] = witness.execute(
        "SELECT sum((said->'$.g.waiting[2]')::DOUBLE) / sum((said->'$.g.waiting[0]')::DOUBLE), "
        "max((said->'$.g.waiting[3]')::DOUBLE), "
        "sum((said->'$.g.waiting[4]')::DOUBLE) / sum((said->'$.g.waiting[0]')::DOUBLE), "
        "sum((said->'$.s.generation_tokens')::DOUBLE) / sum((said->'$.s.counted_s')::DOUBLE), "
        "1000 * sum((said->'$.s.queue_s')::DOUBLE) / sum((said->'$.s.queued')::DOUBLE), "
        "sum(answered) / sum(asked) FROM samples"
    ).fetchall()
    it = asked(database, samples).servers[0].totals
    found = [
        it[name]
        for name in (
            "waiting_mean", "waiting_max", "waiting_high_share", "generation_tokens_per_second", "queue_ms",
            "answered_ratio",
        )
    ]  # fmt: skip
    assert found == pytest.approx([mean, most, share, speed, queue, answered])


def test_series_stand_beside_each_other_on_the_same_times(database: Database) -> None:
    database.add(a_record(0, backend_name="a"), a_record(3599, backend_name="a", time_to_first_token_ms=500.0))
    answer = asked(database, [a_sample(0), a_sample(59, waiting=3)])
    assert (answer.bucket, len(answer.times)) == ("minute", 60)
    series = answer.servers[0].series
    assert {len(values) for values in series.values()} == {60}
    assert (series["waiting_mean"][0], series["waiting_mean"][1], series["waiting_mean"][59]) == (1, None, 3)
    assert (series["first_token_p50_ms"][0], series["first_token_p50_ms"][59]) == (120, 500)


def test_quarters_of_an_hour_get_buckets_that_are_wide_enough(database: Database) -> None:
    answer = asked(database, [a_sample(minute, grain_s=QUARTER_S) for minute in (0, 15, 30, 45)])
    assert (answer.bucket, answer.servers[0].series["waiting_mean"]) == ("15m", [1, 1, 1, 1])


def test_a_single_server_without_a_name_has_the_records_without_one(database: Database) -> None:
    database.add(a_record(5), a_record(6))
    seen = Seen((ServerSeen("127.0.0.1:8000", AskingState.TELLS, "vLLM"),))
    [server] = asked(database, [], seen).servers
    assert server.totals["requests"] == 2


def test_a_server_of_before_is_shown_as_gone_and_a_silent_one_stays(database: Database) -> None:
    answer = asked(database, [a_sample(3, "old")])
    assert [(one.name, one.state) for one in answer.servers] == [("a", "tells"), ("b", "silent"), ("old", "gone")]
    assert answer.servers[0].now == {"running": 3, "open_requests": 2}
    assert answer.servers[2].models_in_range == ["m"]
    assert answer.servers[2].verdict.level == "saturated"


def test_without_a_start_it_is_about_a_day(database: Database) -> None:
    answer = asked(database, [], start=None, end=None)
    assert answer.end - answer.start == timedelta(hours=24)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bucket": "fortnight"},
        {"timezone": "Mars/Olympus"},
        {"end": START},
        {"bucket": "minute", "start": NOON - timedelta(days=900)},
    ],
)
def test_what_cannot_be_answered_says_why(database: Database, wrong: dict[str, Any]) -> None:
    with pytest.raises(QueryError):
        asked(database, [], **wrong)
