"""Whose turn it is: neighbours stay neighbours, a peer that fails drops out, and ours that fails ends the benchmark."""

from pathlib import Path

import pytest
from bench.peers import PEERS
from bench.peers.peer import Subject
from bench.run import Run

NGINX, ENVOY = PEERS["nginx"], PEERS["envoy"]
OURS, FIRST, SECOND = Subject("ours", 1), Subject("nginx", 2), Subject("Envoy", 3)


def run(pairs: int) -> Run:
    return Run(1.0, pairs, [NGINX, ENVOY])


def test_every_other_turn_goes_backwards() -> None:
    asked: list[int] = []

    def measure(subject: Subject) -> int:
        asked.append(subject.port)
        return len(asked)

    seen = run(2).turns("what", (OURS, FIRST, SECOND), measure)
    assert asked == [1, 2, 3, 3, 2, 1]
    assert seen == {"ours": [1, 6], "nginx": [2, 5], "Envoy": [3, 4]}


def test_who_is_slow_takes_part_in_two_turns() -> None:
    slow = Subject("LiteLLM", 4, is_slow=True)
    assert run(4).turns("what", (OURS, slow), lambda _: 1.0) == {"ours": [1.0] * 4, "LiteLLM": [1.0, 1.0, None, None]}


def test_a_peer_that_fails_is_noted_and_left_out() -> None:
    def measure(subject: Subject) -> int:
        assert subject is not SECOND, "3 of 9 requests failed"
        return 1

    this = run(3)
    assert this.turns("load", (OURS, FIRST, SECOND), measure)["Envoy"] == [None] * 3
    [words] = this.missing
    assert "Envoy" in words
    assert "3 of 9 requests failed" in words


@pytest.mark.parametrize("name", ["ours", "direct"])
def test_what_all_others_rest_on_must_not_fail(name: str) -> None:
    def measure(subject: Subject) -> int:
        raise TimeoutError(subject.name)

    with pytest.raises(TimeoutError, match=name):
        run(1).turns("what", (Subject(name, 1), FIRST), measure)


def test_how_disturbed_the_machine_was_is_between_nothing_and_all_of_it(tmp_path: Path) -> None:
    this = run(1)
    (tmp_path / "work").write_bytes(b"".join(bytes([number % 256]) for number in range(200_000)))
    assert 0 <= this.others_cores() < 1024
