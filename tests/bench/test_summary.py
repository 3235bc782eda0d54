"""Each server is one line, related to nginx; who did not take part in a measure has an empty cell."""

from bench.figures import alone, beside
from bench.summary import lines


def test_servers_are_lines_and_measures_are_columns() -> None:
    figures = [
        *beside("cpu.64", "what", "µs", {"ours": [30.0], "nginx": [20.0], "Envoy": [80.0], "LiteLLM": [9_000.0]}),
        *beside("cpu.64.one_core", "what", "µs", {"ours": [60.0], "nginx": [20.0]}),
        *beside("chunk_cpu", "what", "µs", {"ours": [24.0], "nginx": [16.0], "Envoy": [20.0]}),
        alone("memory.ours", "what", "KiB", [7.0]),
    ]
    assert list(lines(figures)) == [
        "| ÷ nginx | CPU a request, 64 connections | CPU a chunk |",
        "| --- | --- | --- |",
        "| ours | **1.5** | **1.5** |",
        "| nginx | 20 µs | 16 µs |",
        "| Envoy | 4 | 1.25 |",
        "| LiteLLM | 450 |  |",
    ]


def test_without_nginx_there_is_nothing_to_relate_to() -> None:
    assert list(lines(beside("cpu.64", "what", "µs", {"ours": [30.0], "Envoy": [80.0]}))) == []
