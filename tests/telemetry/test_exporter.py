"""Between ingestion and the receiver: bounded, never in the way, and everything that is lost is counted."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from llm_metrics_proxy.telemetry import OtlpOptions, TelemetryExporter, exporter, names
from llm_metrics_proxy.telemetry.facts import EventFacts, Measurement, SpanFacts, TraceIds
from tests.options import otlp_options
from tests.telemetry.conftest import a_stream
from tests.telemetry.receiver import LIMIT_S, Receiver, plain
from tests.waiting import wait_until


class Held:
    """A receiver that takes as long as it is let, and says what it is told to."""

    takes_spans = takes_metrics = takes_events = True
    why_not_taken: str | None = "TLS failed: it has expired"

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.gate = threading.Event()
        self.spans: list[SpanFacts] = []
        self.events: list[EventFacts] = []
        self.measured: list[Measurement] = []
        self.found: list[TraceIds | None] = []
        self.added = 0
        self.closed = False

    def measure(self, measured: Iterable[Measurement], ids: TraceIds | None) -> None:
        self.measured += measured
        self.found.append(ids)

    def add(self) -> None:
        self.added += 1

    def send_events(self, events: Sequence[EventFacts]) -> bool:
        self.events += events
        return True

    def send(self, spans: Sequence[SpanFacts]) -> bool:
        self.gate.wait(LIMIT_S)
        taken = self.answers.pop(0) if self.answers else True
        if taken:
            self.spans += spans
        return taken

    def close(self) -> None:
        self.closed = True


def started(held: Held, **options: Any) -> TelemetryExporter:
    made = TelemetryExporter(otlp_options("http://x", **options), open_otlp=lambda _: held)  # type: ignore[arg-type, return-value]
    made.start()
    return made


def test_requests_arrive_as_spans_and_in_histograms(receiver: Receiver) -> None:
    sender = TelemetryExporter(otlp_options(receiver.url, version="1", metrics_interval_s=3600))
    sender.start()
    record = a_stream(7)
    sender.stored([(record, 0.25), (a_stream(8, dialect=None), None), (a_stream(9, trace_sampled=False), None)])
    wait_until(lambda: receiver.spans, lambda: receiver.paths)
    sender.stop(LIMIT_S)
    (made,) = receiver.spans
    assert plain(made.attributes)["llm_proxy.cost_usd"] == 0.25
    began = datetime.fromisoformat(record.timestamp)
    assert made.start_time_unix_nano == int(began.replace(tzinfo=UTC).timestamp()) * 10**9 + began.microsecond * 1000
    (duration,) = receiver.metrics["gen_ai.client.inference.duration"].histogram.data_points
    assert duration.count == 2  # a client that keeps no trace is measured all the same
    assert sender.status().spans_sent == 1


def test_what_does_not_fit_is_dropped_and_counted_and_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "MOST_WAITING", 10)
    held = Held()
    sender = started(held)
    sender.stored([(a_stream(1), None)])
    wait_until(lambda: sender.status().waiting == 0)  # it is being sent, and that is held
    sender.stored([(a_stream(index), None) for index in range(2, 20)])
    assert (sender.status().waiting, sender.status().dropped) == (10, 8)
    held.gate.set()
    sender.stop(LIMIT_S)
    assert len(held.spans) == 11
    assert held.closed


def test_a_receiver_that_is_away_is_told_once_and_when_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    held = Held(False, False, True)
    held.gate.set()
    sender = started(held)
    for index in range(1, 4):
        sender.stored([(a_stream(index), None)])
        wait_until(lambda index=index: sender.status().spans_sent + sender.status().dropped == index)  # type: ignore[misc]
    sender.stop(LIMIT_S)
    assert (sender.status().spans_sent, sender.status().dropped) == (1, 2)
    told = [record.getMessage() for record in caplog.records if "takes" in record.getMessage()]
    assert told == [
        "http://x takes no spans (TLS failed: it has expired); 1 were dropped so far",
        "http://x takes spans again; 2 were dropped so far",
    ]


def test_every_request_is_an_event_where_that_is_asked_for(receiver: Receiver) -> None:
    sender = TelemetryExporter(otlp_options(receiver.url, logs=True, traces=False, metrics=False))
    sender.start()
    sender.stored([(a_stream(1), 0.25), (a_stream(2, dialect=None), None), (a_stream(3, trace_sampled=False), None)])
    wait_until(lambda: sender.status().events_sent == 3, lambda: receiver.paths)
    sender.stop(LIMIT_S)
    assert [each.event_name for each in receiver.logs] == [names.DETAILS_EVENT, names.OWN_EVENT, names.DETAILS_EVENT]
    assert [each.flags for each in receiver.logs] == [1, 1, 0]
    assert set(receiver.paths) == {"/v1/logs"}


def test_a_receiver_that_takes_no_log_records_gets_the_spans_all_the_same(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.refused = {"/v1/logs"}
    sender = TelemetryExporter(otlp_options(receiver.url, logs=True, metrics=False))
    sender.start()
    sender.stored([(a_stream(1), None), (a_stream(2), None)])
    wait_until(lambda: sender.status().dropped == 2, lambda: receiver.paths)
    sender.stop(LIMIT_S)
    assert (len(receiver.spans), sender.status().spans_sent, sender.status().events_sent) == (2, 2, 0)
    assert "takes no log records; 2 were dropped so far" in caplog.text
    assert "takes no spans" not in caplog.text


@pytest.mark.parametrize(
    ("facts", "spans", "found"),
    [
        ({}, True, True),  # by the span that is sent of it
        ({"trace_id": "a" * 32, "trace_sampled": True}, False, True),  # by the client's
        ({}, False, False),
        ({"trace_id": "a" * 32, "trace_sampled": False}, True, False),
    ],
)
def test_an_exemplar_names_only_a_trace_that_somebody_keeps(facts: dict[str, Any], spans: bool, found: bool) -> None:
    held = Held()
    held.takes_spans = spans
    held.gate.set()
    sender = started(held)
    sender.stored([(a_stream(1, **facts), None)])
    sender.stop(LIMIT_S)
    assert [ids is not None for ids in held.found] == [found]
    assert held.added == 1


def test_of_a_large_batch_the_slowest_are_exemplars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "EXEMPLARS_AT_ONCE", 2)
    held = Held()
    held.gate.set()
    sender = TelemetryExporter(otlp_options("http://x"), open_otlp=lambda _: held)  # type: ignore[arg-type, return-value]
    times = (5.0, 90.0, None, 70.0, 20.0)
    sender.stored([(a_stream(at, response_time_ms=ms), None) for at, ms in enumerate(times, 1)])
    sender.start()
    sender.stop(LIMIT_S)
    assert [ids is not None for ids in held.found] == [False, True, False, True, False]


def test_stopping_does_not_wait_for_a_receiver_that_hangs() -> None:
    held = Held()
    sender = started(held)
    sender.stored([(a_stream(1), None)])
    wait_until(lambda: sender.status().waiting == 0)
    began = time.monotonic()
    sender.stop(0.1)
    assert time.monotonic() - began < LIMIT_S / 2
    held.gate.set()


def test_models_that_clients_make_up_are_other() -> None:
    held = Held()
    held.gate.set()
    sender = started(held, model_limit=2)
    sender.stored([(a_stream(index, model=f"m{index}", response_model=None), None) for index in range(1, 6)])
    sender.stop(LIMIT_S)
    assert {each.attributes["gen_ai.request.model"] for each in held.measured} == {"m1", "m2", "other"}
    assert len({made.name for made in held.spans}) == 5  # a span is one request: its name needs no limit


def test_a_bug_costs_its_batch_and_nothing_more(caplog: pytest.LogCaptureFixture) -> None:
    held = Held()
    held.gate.set()
    sender = started(held)
    broken = a_stream(1)
    broken.timestamp = "no time"
    sender.stored([(broken, None)])
    wait_until(lambda: sender.status().dropped == 1)
    sender.stored([(a_stream(2), None)])
    sender.stop(LIMIT_S)
    assert len(held.spans) == 1
    assert "telemetry met a bug" in caplog.text


def test_an_endpoint_that_cannot_be_opened_ends_nothing() -> None:
    def refuse(_: OtlpOptions) -> Any:
        raise ValueError("no")

    sender = TelemetryExporter(otlp_options("http://x"), open_otlp=refuse)
    sender.start()
    sender.stored([(a_stream(1), None)])
    sender.stop(LIMIT_S)
    assert sender.status().waiting == 1


@pytest.mark.system
def test_turned_off_nothing_of_the_sdk_is_even_imported() -> None:  # FastAPI imports its API
    code = (
        "import sys, llm_metrics_proxy.processes.metrics_process; "
        "sys.exit(any(name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
