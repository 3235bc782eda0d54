"""Ratios come from neighbouring runs, and a target is judged by the number it speaks of."""

import pytest
from bench.figures import against, alone, percentile
from bench.targets import TARGETS, reached


def test_a_ratio_is_the_median_of_the_ratios_of_neighbours_not_the_ratio_of_medians() -> None:
    # The machine was half as fast in the second turn, for both.
    figure = against(
        "throughput.64.nginx", "what", "requests/s", ours=[80, 40, 90], peer="nginx", theirs=[160, 80, 150]
    )
    assert (figure.compared, figure.low, figure.high) == (0.5, 0.5, 0.6)
    assert (figure.ours, figure.theirs) == (80, 150)
    assert reached(figure.key, figure.compared) is True


def test_runs_without_a_neighbour_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        against("key", "what", "unit", ours=[1, 2], peer="nginx", theirs=[1])


def test_a_figure_without_a_peer_is_compared_with_its_bound() -> None:
    figure = alone("memory.ours", "what", "KiB", [30.0, 7.0, 23.9])
    assert (figure.compared, figure.peer, reached(figure.key, figure.compared)) == (23.9, None, True)
    assert reached("memory.ours", 24.0) is False


def test_a_figure_without_a_target_is_neither_reached_nor_missed() -> None:
    assert reached("latency.p99.nginx", 1.0) is None
    rooms = {key.partition(".")[0] for key in TARGETS}
    assert rooms == {"throughput", "chunk_cpu", "latency", "memory", "ingestion", "migration"}


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 51), (0.99, 100), (1.0, 100)])
def test_percentiles_are_measured_values(share: float, value: float) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value
