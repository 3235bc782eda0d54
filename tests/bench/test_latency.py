"""What a proxy adds is what its turn took beyond the direct one."""

from bench.latency import added


def test_a_turn_is_related_to_the_direct_turn_of_the_same_time() -> None:
    levels: dict[str, list[float | None]] = {
        "direct": [100.0, 300.0, 90.0],
        "ours": [250.0, 500.0, None],
        "nginx": [160.0, 290.0, 140.0],
    }
    assert added(levels) == {
        "ours": [150.0, 200.0, None],
        "nginx": [60.0, None, 50.0],  # the second direct turn was disturbed, and says nothing
    }
