"""What servers say, over the API and for Prometheus."""

from prometheus_client.parser import text_string_to_metric_families

from llm_metrics_proxy.api.health import assess
from llm_metrics_proxy.api.prometheus import Exposition
from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.servers.gpus import GpuReading
from llm_metrics_proxy.servers.readings import LoadedModel, ServerReading
from llm_metrics_proxy.servers.report import ServersPort
from llm_metrics_proxy.servers.seen import AskingState, GpuSeen, Seen, ServerSeen
from tests.analytics.database import Database
from tests.api.service import client

_READING = ServerReading(
    "Ollama", {"vram_bytes": 5e9, "models_loaded": 1, "running": 2}, models=(LoadedModel("m", 6, 5, 4096, "later"),)
)
SEEN = Seen(
    (
        ServerSeen("desk", AskingState.TELLS, "Ollama", 100.0, 100.0, _READING, 1, "ollama_queue"),
        ServerSeen("far", AskingState.REMOTE, advice="remote"),
        ServerSeen("off", AskingState.SILENT, "vLLM", 100.0, 40.0),
    ),
    (GpuSeen("0: RTX", GpuReading("0", "RTX", {"utilisation_ratio": 0.5, "power_w": 200.0}), 100.0),),
)
PORT = ServersPort(lambda: SEEN, lambda _start, _end: [], "one")


def test_every_server_and_gpu_is_told(database: Database) -> None:
    answer = client(database, servers=PORT).get("/api/v1/servers", params={"timezone": "Europe/Berlin"}).json()
    desk, far, off = answer["servers"]
    assert desk["models"] == [
        {"name": "m", "size_bytes": 6, "vram_bytes": 5, "context_tokens": 4096, "expires_at": "later"}
    ]
    assert desk["now"] == {"vram_bytes": 5e9, "models_loaded": 1, "running": 2, "open_requests": 1}
    assert (desk["told_at"], off["told_at"]) == ("1970-01-01T00:01:40.000Z", "1970-01-01T00:00:40.000Z")
    assert (far["state"], far["asked_at"], far["verdict"]["level"]) == ("remote", None, "unknown")
    assert "server_metrics = true" in far["advice_text"]
    assert answer["gpus"][0]["now"] == {"utilisation_ratio": 0.5, "power_w": 200}
    assert (answer["host"], answer["bucket"], answer["timezone"]) == ("one", "15m", "Europe/Berlin")


def test_wrong_parameters_are_named(database: Database) -> None:
    asked = client(database, servers=PORT)
    for wrong in ({"bucket": "x"}, {"start": "yesterday"}, {"timezone": "Mars"}, {"model": "m"}):
        answer = asked.get("/api/v1/servers", params=wrong)
        assert answer.status_code == 422
        assert answer.json()["error"]["parameter"] in wrong


def test_prometheus_has_gauges_by_server_and_gpu_alone(database: Database) -> None:
    del database
    text, _ = Exposition(CounterBook()).render(assess("5.1.0", None, [], 0), "", servers=SEEN)
    samples = {
        (sample.name.removeprefix("llm_proxy_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        if family.name.startswith(("llm_proxy_server_", "llm_proxy_gpu_"))
        for sample in family.samples
    }
    assert samples == {
        ("server_up", "desk"): 1, ("server_up", "off"): 0, ("server_requests_running", "desk"): 2,
        ("server_models_loaded", "desk"): 1, ("server_model_vram_bytes", "desk"): 5e9,
        ("gpu_utilization_ratio", "0: RTX"): 0.5, ("gpu_power_watts", "0: RTX"): 200,
    }  # fmt: skip
