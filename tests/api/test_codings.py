"""RFC 9110 section 12.5.3, with the examples that stand there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.api.codings import choose

THERE = ("br", "gzip", "identity")


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("", "identity"),
        ("gzip", "gzip"),
        ("GZip", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, br", "br"),
        ("br;q=0.1, gzip;q=0.9", "gzip"),
        ("br;q=0.1,gzip; q=0.2", "gzip"),
        ("gzip;q=0", "identity"),
        ("gzip;q=0.000", "identity"),
        ("gzip;q=0.5, identity", "identity"),
        ("gzip;q=0.001", "gzip"),
        ("*", "br"),
        ("*;q=0", "identity"),
        ("gzip, *;q=0", "gzip"),
        ("br;q=0, *", "gzip"),
        ("identity;q=0, gzip", "gzip"),
        ("identity;q=0", "identity"),
        ("compress, gzip", "gzip"),
        ("deflate", "identity"),
        ("gzip;q=x", "identity"),
        ("gzip;q=2", "identity"),
        ("gzip;q=-1", "identity"),
        (", ,gzip,", "gzip"),
        ("gzip;level=9", "identity"),
    ],
)
def test_the_greatest_weight_wins(accepted: str, chosen: str) -> None:
    assert choose(accepted, THERE) == chosen


@given(st.text(st.sampled_from("gzipbr*identy ,;q=01.x"), max_size=60))
def test_whatever_stands_there_is_one_of_those(accepted: str) -> None:
    assert choose(accepted, THERE) in THERE
