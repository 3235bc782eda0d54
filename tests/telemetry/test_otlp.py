"""The SDK's part, against a receiver that decodes what comes."""

from typing import Any

import pytest

from llm_metrics_proxy.telemetry import names
from llm_metrics_proxy.telemetry.facts import measurements, span
from llm_metrics_proxy.telemetry.otlp import Otlp
from tests.telemetry.conftest import a_stream
from tests.telemetry.receiver import Receiver, plain

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
KIND_CLIENT, STATUS_ERROR = 3, 2


def opened(url: str, *, traces: bool = True, metrics: bool = True) -> Otlp:
    headers = {"authorization": "Bearer secret"}
    return Otlp(url, headers, version="9.9.9", metrics_interval_s=3600, traces=traces, metrics=metrics)


def test_a_span_arrives_as_it_was_made(receiver: Receiver) -> None:
    otlp = opened(receiver.url, metrics=False)
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
    assert receiver.headers[0]["authorization"] == "Bearer secret"
    assert receiver.paths == ["/v1/traces"]


def test_histograms_arrive_with_the_bounds_of_the_conventions(receiver: Receiver) -> None:
    otlp = opened(receiver.url, traces=False)
    for record in (a_stream(1), a_stream(2, prompt_tokens=None)):
        for each in measurements(record, record.model, record.response_model):
            otlp.measure(each)
    otlp.close()
    assert set(receiver.paths) == {"/v1/metrics"}
    for name in names.HISTOGRAMS:
        for point in receiver.metrics[name.name].histogram.data_points:
            assert tuple(point.explicit_bounds) == pytest.approx(name.bounds)
    usage = {
        plain(point.attributes)["gen_ai.token.type"]: (point.count, point.sum)
        for point in receiver.metrics["gen_ai.client.token.usage"].histogram.data_points
    }
    assert usage == {"input": (1, 11), "output": (2, 202)}
    assert receiver.metrics["gen_ai.client.operation.duration"].unit == "s"


def test_a_receiver_that_refuses_is_told(receiver: Receiver) -> None:
    receiver.status = 400
    otlp = opened(receiver.url, metrics=False)
    assert not otlp.send([span(a_stream(), 0, None)])
    otlp.close()
    assert receiver.spans == []


def test_each_signal_can_be_turned_off(receiver: Receiver) -> None:
    otlp = opened(receiver.url, traces=False, metrics=False)
    assert (otlp.takes_spans, otlp.takes_metrics) == (False, False)
    assert otlp.send([span(a_stream(), 0, None)])
    otlp.close()
    assert receiver.paths == []
