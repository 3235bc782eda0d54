"""The SDK's part, against a receiver that decodes what comes."""

from typing import Any

import pytest

from llm_metrics_proxy.telemetry import names
from llm_metrics_proxy.telemetry.facts import event, ids, measurements, span
from llm_metrics_proxy.telemetry.otlp import Otlp
from tests.telemetry.conftest import a_stream
from tests.telemetry.receiver import Receiver, plain

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
KIND_CLIENT, STATUS_ERROR = 3, 2


def opened(url: str, *, traces: bool = False, metrics: bool = False, logs: bool = False) -> Otlp:
    headers = {"authorization": "Bearer secret"}
    return Otlp(
        url, headers, version="9.9.9", host="h-1", metrics_interval_s=3600, traces=traces, metrics=metrics, logs=logs
    )


def test_a_span_arrives_as_it_was_made(receiver: Receiver) -> None:
    otlp = opened(receiver.url, traces=True)
    facts: dict[str, Any] = {"trace_id": TRACE, "parent_span_id": PARENT, "trace_sampled": True, "success": False}
    assert otlp.send([span(a_stream(error_type="rate_limit", **facts), 1_748_779_200_000_000_000, None)])
    otlp.close()
    (made,) = receiver.spans
    assert (made.trace_id.hex(), made.parent_span_id.hex(), made.span_id.hex()) == (TRACE, PARENT, f"{0xABC:016x}")
    assert (made.name, made.kind, made.status.code) == ("chat gpt-4o", KIND_CLIENT, STATUS_ERROR)
    assert (made.start_time_unix_nano, made.end_time_unix_nano) == (
        1_748_779_200_000_000_000,
        1_748_779_201_500_000_000,
    )
    attributes = plain(made.attributes)
    assert attributes["error.type"] == "rate_limit"
    assert attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert receiver.resources[0]["service.name"] == "llm-metrics-proxy"
    assert receiver.resources[0]["service.version"] == "9.9.9"
    assert receiver.resources[0]["host.name"] == "h-1"
    assert receiver.schemas == {names.SCHEMA_URL}
    assert receiver.headers[0]["authorization"] == "Bearer secret"
    assert receiver.paths == ["/v1/traces"]


def test_histograms_arrive_with_the_bounds_of_the_conventions(receiver: Receiver) -> None:
    otlp = opened(receiver.url, metrics=True)
    for record in (a_stream(1), a_stream(2, prompt_tokens=None)):
        otlp.measure(measurements(record, record.model, record.response_model), None)
    otlp.add()
    otlp.add()  # nothing is counted twice
    otlp.close()
    assert set(receiver.paths) == {"/v1/metrics"}
    assert receiver.schemas == {names.SCHEMA_URL}
    arrived = {name: metric.histogram.data_points for name, metric in receiver.metrics.items()}
    for instrument in names.INSTRUMENTS:
        for point in arrived.get(instrument.name, []):
            assert tuple(point.explicit_bounds) == pytest.approx(instrument.bounds)
    for kind, count, tokens in (("input", 1, 11), ("output", 2, 202)):
        (point,) = arrived[f"gen_ai.client.inference.operation.{kind}_tokens"]
        assert (point.count, point.sum, list(point.exemplars)) == (count, tokens, [])
        (counted,) = receiver.metrics[f"gen_ai.client.inference.usage.{kind}_tokens"].sum.data_points
        assert counted.as_int == tokens
        assert plain(counted.attributes)["gen_ai.token.modality"] == "unknown"
    assert receiver.metrics["gen_ai.client.inference.duration"].unit == "s"


def test_a_histograms_exemplar_names_the_trace_of_its_request(receiver: Receiver) -> None:
    otlp = opened(receiver.url, metrics=True)
    kept = a_stream(1, trace_id=TRACE, parent_span_id=PARENT, trace_sampled=True, response_time_ms=1000.0)
    dropped = a_stream(2, trace_id=TRACE, trace_sampled=False, response_time_ms=50_000.0)
    for record in (kept, dropped):
        otlp.measure(measurements(record, record.model, record.response_model), ids(record))
    otlp.close()
    (duration,) = receiver.metrics["gen_ai.client.inference.duration"].histogram.data_points
    assert duration.count == 2
    (exemplar,) = duration.exemplars
    assert (exemplar.trace_id.hex(), exemplar.span_id.hex(), exemplar.as_double) == (TRACE, f"{1:016x}", 1.0)


def test_a_log_record_arrives_as_an_event_in_its_trace(receiver: Receiver) -> None:
    otlp = opened(receiver.url, logs=True)
    facts: dict[str, Any] = {"trace_id": TRACE, "trace_sampled": True, "success": False, "outcome": "upstream_error"}
    made = event(a_stream(error_type="rate_limit", error_message="slow down", **facts), 1_748_779_200_000_000_000, None)
    assert otlp.send_events([made])
    otlp.close()
    (log,) = receiver.logs
    assert (log.event_name, log.body.string_value) == (names.DETAILS_EVENT, "chat gpt-4o: rate_limit")
    assert (log.severity_text, log.severity_number) == ("ERROR", 17)
    assert log.time_unix_nano == 1_748_779_201_500_000_000
    assert log.observed_time_unix_nano > log.time_unix_nano
    assert (log.trace_id.hex(), log.span_id.hex(), log.flags) == (TRACE, f"{0xABC:016x}", 1)
    assert plain(log.attributes)["llm_proxy.error_message"] == "slow down"
    assert plain(log.attributes)["gen_ai.response.finish_reasons"] == ["stop"]
    assert receiver.paths == ["/v1/logs"]
    assert receiver.schemas == {names.SCHEMA_URL}


def test_a_receiver_that_refuses_is_told(receiver: Receiver) -> None:
    receiver.status = 400
    otlp = opened(receiver.url, traces=True)
    assert not otlp.send([span(a_stream(), 0, None)])
    otlp.close()
    assert receiver.spans == []


def test_each_signal_can_be_turned_off(receiver: Receiver) -> None:
    otlp = opened(receiver.url)
    assert (otlp.takes_spans, otlp.takes_metrics, otlp.takes_events) == (False, False, False)
    assert otlp.send([span(a_stream(), 0, None)])
    assert otlp.send_events([event(a_stream(), 0, None)])
    otlp.close()
    assert receiver.paths == []
