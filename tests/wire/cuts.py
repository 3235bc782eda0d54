"""Ways to cut a byte string, and strategies that the wire tests share."""

import random
from collections.abc import Iterator

from hypothesis import strategies as st

from tests.examples import examples

CALM = examples(50)


def random_pieces(data: bytes, seed: int, longest: int = 40) -> list[bytes]:
    """``data`` in pieces of 1 to ``longest`` bytes."""
    dice = random.Random(seed)
    pieces = []
    position = 0
    while position < len(data):
        step = dice.randint(1, longest)
        pieces.append(data[position : position + step])
        position += step
    return pieces


def byte_by_byte(data: bytes) -> list[bytes]:
    """``data`` in pieces of one byte."""
    return [data[position : position + 1] for position in range(len(data))]


def three_ways(data: bytes) -> Iterator[list[bytes]]:
    """Whole, byte by byte, and cut at random."""
    yield [data]
    yield byte_by_byte(data)
    for seed in range(3):
        yield random_pieces(data, seed)


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Any cut of ``data``, empty pieces included."""
    points = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:stop] for start, stop in zip([0, *points], [*points, len(data)], strict=True)]
