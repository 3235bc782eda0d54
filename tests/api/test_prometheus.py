import math
from collections import defaultdict
from typing import Any

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from llm_metrics_proxy.api import prometheus_series
from llm_metrics_proxy.api.health import Health, assess
from llm_metrics_proxy.api.prometheus import Exposition
from llm_metrics_proxy.counters import BOUNDS_MS, E2E_LATENCY, OVERHEAD, CounterBook, SeriesLabels
from llm_metrics_proxy.ingestion import IngestionStatus
from llm_metrics_proxy.scoreboard import Scoreboard
from llm_metrics_proxy.storage.disk_space import DiskSpace
from llm_metrics_proxy.telemetry import TelemetryStatus
from llm_metrics_proxy.wire.error_types import OUTCOMES, TAXONOMY
from tests.analytics.database import Database, a_record
from tests.api.service import NOW_UNIX_S, RUNNING, client
from tests.counting import count

OPENMETRICS = "application/openmetrics-text"
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def health(**slot_values: int) -> Health:
    scoreboard = Scoreboard.create()
    for name, value in slot_values.items():
        scoreboard.slot(0).set(name, value)
    return assess("2.0.0", RUNNING, scoreboard.workers(), NOW_UNIX_S * 1000)


def scrape(book: CounterBook, state: Health | None = None, **more: Any) -> tuple[Series, dict[str, str]]:
    body, _ = Exposition(book).render(state or health(), "", **more)
    families = list(text_string_to_metric_families(body.decode()))
    samples = [sample for family in families for sample in family.samples]
    values = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
    assert len(values) == len(samples)  # no series twice
    return values, {family.name: family.type for family in families}


def only(values: Series, name: str, **labels: str) -> float:
    (value,) = [
        value for (found, has), value in values.items() if found == name and labels.items() <= dict(has).items()
    ]
    return value


def test_every_family_is_there_before_the_first_request() -> None:
    _, types = scrape(CounterBook())
    expected = {
        "llm_proxy_build_info": "gauge",
        "llm_proxy_requests": "counter",
        "llm_proxy_errors": "counter",
        "llm_proxy_request_success": "counter",
        "llm_proxy_prompt_tokens": "counter",
        "llm_proxy_generation_tokens": "counter",
        "llm_proxy_cost_usd": "counter",
        "llm_proxy_quota_left": "gauge",
        "llm_proxy_quota_left_ratio": "gauge",
        "llm_proxy_quota_reset_timestamp_seconds": "gauge",
        "llm_proxy_cost_unknown_requests": "counter",
        "llm_proxy_slo_objective_ratio": "gauge",
        "llm_proxy_slo_good_ratio": "gauge",
        "llm_proxy_slo_error_budget_left_ratio": "gauge",
        "llm_proxy_slo_burn_rate": "gauge",
        "llm_proxy_alert_firing": "gauge",
        "llm_proxy_alert_messages_waiting": "gauge",
        "llm_proxy_time_to_first_token_seconds": "histogram",
        "llm_proxy_time_per_output_token_seconds": "histogram",
        "llm_proxy_e2e_request_latency_seconds": "histogram",
        "llm_proxy_proxy_overhead_seconds": "histogram",
        "llm_proxy_num_requests_running": "gauge",
        "llm_proxy_ingestion_up": "gauge",
        "llm_proxy_server_up": "gauge",
        "llm_proxy_server_requests_running": "gauge",
        "llm_proxy_server_requests_waiting": "gauge",
        "llm_proxy_server_kv_cache_usage_ratio": "gauge",
        "llm_proxy_server_slots": "gauge",
        "llm_proxy_server_models_loaded": "gauge",
        "llm_proxy_server_model_vram_bytes": "gauge",
        "llm_proxy_gpu_utilization_ratio": "gauge",
        "llm_proxy_gpu_memory_used_bytes": "gauge",
        "llm_proxy_gpu_memory_bytes": "gauge",
        "llm_proxy_gpu_power_watts": "gauge",
        "llm_proxy_gpu_temperature_celsius": "gauge",
        "llm_proxy_worker_up": "gauge",
        "llm_proxy_open_connections": "gauge",
        "llm_proxy_journal_bytes": "gauge",
        "llm_proxy_records_dropped": "counter",
        "llm_proxy_disk_free_bytes": "gauge",
        "llm_proxy_disk_reserve_bytes": "gauge",
        "llm_proxy_disk_low": "gauge",
        "llm_proxy_bad_requests": "counter",
        "llm_proxy_request_bodies_bytes": "gauge",
        "llm_proxy_request_bodies_limit_bytes": "gauge",
        "llm_proxy_request_bodies_refused": "counter",
        "llm_proxy_connections_limit": "gauge",
        "llm_proxy_connections_refused": "counter",
        "llm_proxy_readers_refused": "counter",
        **dict.fromkeys(
            (
                "llm_proxy_cached_tokens",
                "llm_proxy_cache_prompt_tokens",
                "llm_proxy_cache_write_tokens",
                "llm_proxy_cache_saved_usd",
                "llm_proxy_cache_surcharge_usd",
                "llm_proxy_backend_busy_seconds",
            ),
            "counter",
        ),
        "llm_proxy_backend_up": "gauge",
        "llm_proxy_backend_open_requests": "gauge",
        "llm_proxy_backend_ejections": "counter",
        "llm_proxy_journal_lag_bytes": "gauge",
        "llm_proxy_journal_lag_seconds": "gauge",
        "llm_proxy_records_rejected": "counter",
        "llm_proxy_records_lost": "counter",
        "llm_proxy_journal_damaged_bytes": "counter",
        "llm_proxy_budget_limit": "gauge",
        "llm_proxy_budget_used": "gauge",
        "llm_proxy_budget_used_ratio": "gauge",
        "llm_proxy_budget_projected_ratio": "gauge",
        "llm_proxy_quota_burn_ratio_per_second": "gauge",
        "llm_proxy_quota_runs_out_timestamp_seconds": "gauge",
        "llm_proxy_quota_left_at_reset_ratio": "gauge",
        "llm_proxy_migration_phase": "gauge",
        "llm_proxy_migration_records_done": "gauge",
        "llm_proxy_migration_records": "gauge",
    }
    assert types == expected


def test_each_backend_is_shown_as_each_worker_sees_it() -> None:
    board = Scoreboard.create()
    board.slot(0).set("pid", 1)
    down = {"up": 0, "open_requests": 2, "failures_in_a_row": 4, "ejections": 5}
    board.show_backends(0, [("a", {**down, "up": 1}), ("b", down)])
    state = assess("2.0.0", RUNNING, board.workers(), NOW_UNIX_S * 1000, backends=board.backends())
    values, _ = scrape(CounterBook(), state)
    assert only(values, "llm_proxy_backend_up", worker="0", backend_name="a") == 1
    assert only(values, "llm_proxy_backend_up", worker="0", backend_name="b") == 0
    assert only(values, "llm_proxy_backend_open_requests", backend_name="b") == 2
    assert only(values, "llm_proxy_backend_ejections_total", backend_name="b") == 5


def test_a_new_series_begins_with_a_zero_for_every_outcome() -> None:
    book = CounterBook()
    count(book, a_record())
    values, _ = scrape(book)
    found: dict[tuple[str | None, str], float] = {
        (dict(has).get("model"), dict(has)["outcome"]): value
        for (name, has), value in values.items()
        if name == "llm_proxy_requests_total"
    }
    assert {outcome: n for (model, outcome), n in found.items() if model is None} == dict.fromkeys(OUTCOMES, 0.0)
    of_model = {outcome: n for (model, outcome), n in found.items() if model == "llama3.1:8b"}
    assert of_model == dict.fromkeys(OUTCOMES, 0.0) | {"completed": 1.0}


def test_counts_and_labels_are_those_of_the_records() -> None:
    book = CounterBook()
    count(book, a_record())
    failed = a_record(is_streaming=False, success=False, outcome="upstream_error", error_type="quota")
    count(book, failed, error_category="limit")
    values, _ = scrape(book)
    labels = {"model": "llama3.1:8b", "backend": "127.0.0.1:8000", "endpoint": "/v1/chat/completions"}
    kind = {"error_category": "limit", "error_type": "quota"}
    assert only(values, "llm_proxy_errors_total", **labels, streaming="false", **kind) == 1
    assert only(values, "llm_proxy_errors_total", **labels, streaming="true", **kind) == 0
    assert only(values, "llm_proxy_request_success_total", **labels, finished_reason="stop") == 1
    assert only(values, "llm_proxy_prompt_tokens_total", streaming="true") == 10
    assert only(values, "llm_proxy_generation_tokens_total", streaming="true") == 101
    assert only(values, "llm_proxy_build_info", app_version="2.0.0") == 1


def errors(values: Series) -> dict[tuple[str | None, ...], float]:
    """Of ``llm_proxy_errors_total``: model, streaming, category and type, and the count."""
    labels = ("model", "streaming", "error_category", "error_type")
    return {
        tuple(dict(has).get(label) for label in labels): value
        for (name, has), value in values.items()
        if name == "llm_proxy_errors_total"
    }


def test_cost_is_counted_where_it_is_known_and_requests_where_it_is_not() -> None:
    book = CounterBook()
    book.observe(a_record(model="priced"), None, 0.5)
    book.observe(a_record(model="priced"), None, 0.25)
    book.observe(a_record(model="local"), None, None)
    book.observe(a_record(model="local", prompt_tokens=None, completion_tokens=None), None, None)  # used nothing known
    book.take_changes()
    book.confirm()
    values, _ = scrape(book)
    assert only(values, "llm_proxy_cost_usd_total", model="priced") == 0.75
    assert only(values, "llm_proxy_cost_unknown_requests_total", model="priced") == 0
    assert only(values, "llm_proxy_cost_usd_total", model="local") == 0
    assert only(values, "llm_proxy_cost_unknown_requests_total", model="local") == 1


def test_every_kind_of_error_is_there_at_0_before_the_first_request_and_by_model_what_rules_ask_for() -> None:
    book = CounterBook()
    before = {(None, None, row.category, row.type): 0.0 for row in TAXONOMY}
    assert errors(scrape(book)[0]) == before
    count(book, a_record())
    limits = {("llama3.1:8b", "true", row.category, row.type): 0.0 for row in TAXONOMY if row.category == "limit"}
    assert limits
    assert errors(scrape(book)[0]) == before | limits


def test_only_histograms_that_counted_are_there() -> None:
    book = CounterBook()
    count(book, a_record(is_streaming=False, proxy_overhead_ms=None))
    names = {name.removesuffix("_bucket") for name, _ in scrape(book)[0] if name.endswith("_bucket")}
    assert names == {"llm_proxy_e2e_request_latency_seconds"}
    count(book, a_record())
    names = {name.removesuffix("_bucket") for name, _ in scrape(book)[0] if name.endswith("_bucket")}
    assert names == {f"llm_proxy_{name}" for name in BOUNDS_MS}


def test_a_hundred_models_on_four_paths_have_no_line_for_what_never_happened() -> None:
    book = CounterBook()
    for number in range(100):
        for path in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"):
            book.observe(a_record(model=f"model-{number}", endpoint=path, is_streaming=False))
    book.take_changes()
    book.confirm()
    body, _ = Exposition(book).render(health(), "")
    of_one = 8 + 2 + 1 + 10 + sum(len(BOUNDS_MS[name]) + 3 for name in (E2E_LATENCY, OVERHEAD))
    live = len(Exposition(CounterBook()).render(health(), "")[0].splitlines())
    assert len(body.splitlines()) == live + 400 * of_one


def test_a_scrape_makes_the_lines_of_those_series_only_that_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    real = prometheus_series._lines

    def lines(key: SeriesLabels, *more: Any) -> list[str]:
        made.append(key[0])
        return real(key, *more)

    monkeypatch.setattr(prometheus_series, "_lines", lines)
    book = CounterBook()
    exposition = Exposition(book)
    count(book, a_record(model="a"), a_record(model="b"))
    assert exposition.render(health(), "") == exposition.render(health(), "")
    count(book, a_record(model="b"))
    body = exposition.render(health(), "")[0]
    assert (sorted(made[:2]), made[2:]) == (["a", "b"], ["b"])
    assert body == Exposition(book).render(health(), "")[0]


def exemplars_of(book: CounterBook, **more: Any) -> dict[str, list[Any]]:
    """By histogram, of its buckets in their order; OpenMetrics' own parser refuses what breaks its rules."""
    body, content_type = Exposition(book).render(health(), OPENMETRICS, **more)
    assert content_type.startswith(OPENMETRICS)
    families = parse_openmetrics(body.decode())  # type: ignore[no-untyped-call]
    samples = [sample for family in families for sample in family.samples]
    found: dict[str, list[Any]] = {}
    for sample in samples:
        if sample.exemplar is not None:
            found.setdefault(sample.name.removesuffix("_bucket"), []).append(sample.exemplar)
    return found


def test_in_openmetrics_a_bucket_names_its_newest_request_and_the_clients_trace() -> None:
    book = CounterBook()
    traced = a_record(request_id="a" * 32, timestamp="2026-01-01T00:00:00Z", trace_id="b" * 32, trace_sampled=True)
    count(book, a_record(request_id="c" * 32, timestamp="2025-12-31T23:59:59Z"), traced)
    (exemplar,) = exemplars_of(book)["llm_proxy_time_to_first_token_seconds"]
    assert exemplar.labels == {"trace_id": "b" * 32, "request_id": "a" * 32}
    assert (exemplar.value, float(exemplar.timestamp)) == (0.12, 1767225601.125)
    assert len(exemplars_of(book)) == len(BOUNDS_MS)
    assert b" # {" not in Exposition(book).render(health(), "")[0]  # the text format has none


def test_an_exemplar_names_a_trace_only_if_somebody_has_it() -> None:
    def labels(sends_traces: bool, **facts: Any) -> dict[str, str]:
        book = CounterBook()
        count(book, a_record(request_id="a" * 32, **facts))
        status = TelemetryStatus(sends_traces=sends_traces)
        return dict(exemplars_of(book, telemetry=status)["llm_proxy_e2e_request_latency_seconds"][0].labels)

    assert labels(sends_traces=False) == {"request_id": "a" * 32}
    assert labels(sends_traces=True) == {"request_id": "a" * 32, "trace_id": "a" * 32}
    assert labels(sends_traces=True, trace_id="b" * 32, trace_sampled=False) == {"request_id": "a" * 32}


def test_an_exemplar_is_shown_with_the_count_that_it_belongs_to_and_stays_over_a_failed_transaction() -> None:
    book = CounterBook()
    stored = dict(count(book, a_record(request_id="a" * 32, timestamp="2026-01-01T00:00:00Z")))
    book.observe(a_record(request_id="b" * 32, timestamp="2026-01-02T00:00:00Z"))
    book.take_changes()
    name = "llm_proxy_e2e_request_latency_seconds"
    assert exemplars_of(book)[name][0].labels == {"request_id": "a" * 32}
    book.load(stored.items())  # it failed
    assert exemplars_of(book)[name][0].labels == {"request_id": "a" * 32}
    count(book, a_record(request_id="c" * 32, timestamp="2025-01-01T00:00:00Z"))  # arrived last, ended first
    assert exemplars_of(book)[name][0].labels == {"request_id": "a" * 32}
    count(book, a_record(request_id="d" * 32, timestamp="no time"))
    assert exemplars_of(book)[name][0].labels == {"request_id": "a" * 32}


def test_the_total_of_errors_goes_on_from_what_2_x_counted() -> None:
    book = CounterBook()
    ((key, state),) = count(book, a_record())
    values = msgspec.msgpack.decode(state)
    values[2] = {"rejected": {"forbidden": 3}, "upstream_error": {"quota": 2, "": 1}}
    book.load([(key, msgspec.msgpack.encode(values[:7]))])
    count(book, a_record(success=False, outcome="proxy_refused", error_type="forbidden"), error_category="auth")
    shown = {name: n for name, n in errors(scrape(book)[0]).items() if n}
    assert shown == {("llama3.1:8b", "true", "", ""): 6, ("llama3.1:8b", "true", "auth", "forbidden"): 1}


def test_histograms_are_cumulative_and_in_seconds() -> None:
    book = CounterBook()
    for milliseconds in (0.5, 120.0, 120.0, 1e9):
        count(book, a_record(time_to_first_token_ms=milliseconds))
    values, _ = scrape(book)
    name = "llm_proxy_time_to_first_token_seconds"
    buckets = {float(dict(has)["le"]): value for (found, has), value in values.items() if found == f"{name}_bucket"}
    assert sorted(buckets) == [*(bound / 1000 for bound in BOUNDS_MS["time_to_first_token_seconds"]), math.inf]
    assert (buckets[0.001], buckets[0.1], buckets[0.25], buckets[2560.0], buckets[math.inf]) == (1, 1, 3, 3, 4)
    assert list(buckets.values()) == sorted(buckets.values())
    assert only(values, f"{name}_count") == 4
    assert only(values, f"{name}_sum") == pytest.approx(1000000.2405)


def test_every_histogram_has_help_and_bounds() -> None:
    book = CounterBook()
    count(book, a_record())
    values, _ = scrape(book)
    for name in BOUNDS_MS:
        assert only(values, f"llm_proxy_{name}_count") == 1


def test_names_that_clients_choose_cannot_break_the_format() -> None:
    book = CounterBook()
    names = ['quo"te', "new\nline", "back\\slash", "ünï©ode", "{}", ",a=b", "\x00", "\u2028"]
    for name in names:
        count(book, a_record(model=name))
    values, _ = scrape(book)
    found = {dict(has)["model"] for (name, has) in values if name == "llm_proxy_prompt_tokens_total"}
    assert found == set(names)


def test_counters_never_go_down_over_failures_and_restarts() -> None:
    stored: dict[str, bytes] = {}
    book = CounterBook()
    highest: dict[Any, float] = defaultdict(float)

    def look() -> None:
        values, types = scrape(book)
        for (name, has), value in values.items():
            family = name.removesuffix("_total").removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
            if types[family] in ("counter", "histogram"):
                assert value >= highest[name, has], (name, has)
                highest[name, has] = value
        assert all((name, has) in values for name, has in highest)  # nor do they vanish

    for number in range(24):
        category, kind = (None, None) if number % 4 else ("limit", "quota")
        record = a_record(
            model=f"m{number % 3}", response_time_ms=float(number), success=number % 4 > 0, error_type=kind
        )
        book.observe(record, category)
        look()
        changes = book.take_changes()
        look()
        if number % 5 == 2:  # the transaction fails, or the process is killed; the record is read again
            book = book if number % 2 else CounterBook()
            book.load(stored.items())
            look()
            book.observe(record, category)
            changes = book.take_changes()
        stored.update(changes)
        if number % 7 == 3:  # killed between the commit and its confirmation
            book = CounterBook()
            book.load(stored.items())
        else:
            book.confirm()
        look()
    assert sum(value for (name, _), value in highest.items() if name == "llm_proxy_requests_total") == 24


def test_gauges_come_from_the_workers_and_from_ingestion() -> None:
    now_ms = int(NOW_UNIX_S * 1000)
    state = health(
        pid=5, heartbeat_unix_ms=now_ms, open_requests=3, open_connections=4, records_dropped=2, bad_requests=1
    )
    values, _ = scrape(CounterBook(), state)
    assert only(values, "llm_proxy_num_requests_running") == 3
    assert only(values, "llm_proxy_worker_up", worker="0") == 1
    assert only(values, "llm_proxy_open_connections", worker="0") == 4
    assert only(values, "llm_proxy_records_dropped_total", worker="0") == 2
    assert only(values, "llm_proxy_bad_requests_total", worker="0") == 1
    assert only(values, "llm_proxy_ingestion_up") == 1
    values, _ = scrape(CounterBook(), health(pid=5, heartbeat_unix_ms=now_ms - 60_000))
    assert only(values, "llm_proxy_worker_up", worker="0") == 0


def test_disks_and_losses_are_shown_and_what_is_not_known_is_no_0() -> None:
    rooms = {"database": DiskSpace(folder="/d", free_bytes=5, reserve_bytes=9)}
    status = IngestionStatus(running=True, records_lost=493)
    values, _ = scrape(CounterBook(), assess("2.0.0", status, (), 0, disks=rooms, low_disks=rooms))
    assert only(values, "llm_proxy_records_lost_total") == 493
    assert only(values, "llm_proxy_disk_free_bytes", disk="database") == 5
    assert only(values, "llm_proxy_disk_reserve_bytes", disk="database") == 9
    assert only(values, "llm_proxy_disk_low", disk="database") == 1
    values, _ = scrape(CounterBook(), assess("2.0.0", IngestionStatus(running=True), (), 0, disks=rooms))
    assert only(values, "llm_proxy_disk_low", disk="database") == 0
    assert "llm_proxy_records_lost_total" not in {name for name, _ in values}


def test_ingestion_that_does_not_run_is_shown_as_down() -> None:
    values, _ = scrape(CounterBook(), assess("2.0.0", None, (), 0))
    assert only(values, "llm_proxy_ingestion_up") == 0


def test_the_endpoint_speaks_text_and_openmetrics(database: Database) -> None:
    book = CounterBook()
    count(book, a_record())
    http = client(database, book=book)
    text = http.get("/metrics")
    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "llm_proxy_requests_total" in text.text
    openmetrics = http.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    names = {family.name for family in parse_openmetrics(openmetrics.text)}  # type: ignore[no-untyped-call]
    assert "llm_proxy_e2e_request_latency_seconds" in names


def test_caches_savings_and_busy_time_are_counted_and_never_go_down() -> None:
    book = CounterBook()
    book.observe(a_record(prompt_tokens=100, cached_tokens=60), savings_usd=0.5, busy_ms=1500.0)
    book.observe(a_record(prompt_tokens=100, cached_tokens=0, cache_write_tokens=40), savings_usd=-0.125, busy_ms=500.0)
    book.observe(a_record(prompt_tokens=100))  # says nothing of a cache
    book.take_changes()
    book.confirm()
    found, _ = scrape(book)
    assert {name: only(found, f"llm_proxy_{name}_total") for name in (
        "cached_tokens", "cache_prompt_tokens", "cache_write_tokens", "cache_saved_usd", "cache_surcharge_usd",
        "backend_busy_seconds",
    )} == {
        "cached_tokens": 60, "cache_prompt_tokens": 200, "cache_write_tokens": 40, "cache_saved_usd": 0.5,
        "cache_surcharge_usd": 0.125, "backend_busy_seconds": 2.0,
    }  # fmt: skip
