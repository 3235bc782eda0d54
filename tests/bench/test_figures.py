"""Ratios come from neighbouring runs, and a target is judged by the number it speaks of."""

import pytest
from bench.figures import against, alone, beside, key_of, percentile
from bench.targets import TARGETS, reached


def test_a_ratio_is_the_median_of_the_ratios_of_neighbours_not_the_ratio_of_medians() -> None:
    # The machine was half as fast in the second turn, for both.
    figure = against(
        "throughput.64.nginx", "what", "requests/s", ours=[112, 56, 120], peer="nginx", theirs=[160, 80, 150]
    )
    assert (figure.compared, figure.low, figure.high) == (0.7, 0.7, 0.8)
    assert (figure.ours, figure.theirs) == (112, 150)
    assert reached(figure.key, figure.compared) is True


def test_runs_without_a_neighbour_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        against("key", "what", "unit", ours=[1, 2], peer="nginx", theirs=[1])


def test_each_peer_is_beside_ours_and_beside_nginx_in_the_same_turns() -> None:
    seen: dict[str, list[float | None]] = {
        "ours": [40, 20, 44], "nginx": [80, 40, 80], "nginx+Lua": [50, 20, None], "LiteLLM": [0.4, None, None],
    }  # fmt: skip
    nginx, lua, litellm = beside("throughput.64", "what", "requests/s", seen)
    assert (nginx.key, nginx.compared, nginx.to_nginx) == ("throughput.64.nginx", 0.5, 1.0)
    assert (lua.key, lua.compared, lua.low, lua.high) == ("throughput.64.nginx_lua", 0.9, 0.8, 1.0)
    assert (lua.to_nginx, lua.theirs) == (0.5625, 35)
    assert (litellm.compared, litellm.ours, reached(litellm.key, litellm.compared)) == (100, 40, True)


def test_who_gave_no_value_has_no_line() -> None:
    assert beside("key", "what", "µs", {"ours": [1.0, 2.0], "Envoy": [None, None]}) == []
    [only] = beside("key", "what", "µs", {"ours": [1.0, None], "Envoy": [None, 3.0], "Caddy": [2.0, 2.0]})
    assert (only.peer, only.compared, only.to_nginx) == ("Caddy", 0.5, None)


@pytest.mark.parametrize(("name", "key"), [("nginx+Lua", "nginx_lua"), ("ours, one core", "ours_one_core")])
def test_keys_are_plain_words(name: str, key: str) -> None:
    assert key_of(name) == key


def test_a_figure_without_a_peer_is_compared_with_its_bound() -> None:
    figure = alone("memory.ours", "what", "KiB", [30.0, 7.0, 23.9])
    assert (figure.compared, figure.peer, reached(figure.key, figure.compared)) == (23.9, None, True)
    assert reached("memory.ours", 24.0) is False


def test_a_figure_without_a_target_is_neither_reached_nor_missed() -> None:
    assert reached("latency.200.p99.nginx", 1.0) is None
    rooms = {key.partition(".")[0] for key in TARGETS}
    assert rooms == {"throughput", "cpu", "chunk_cpu", "latency", "memory", "ingestion", "migration"}


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 51), (0.99, 100), (1.0, 100)])
def test_percentiles_are_measured_values(share: float, value: float) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value
