"""Texts and numbers of requests are kept if a column can hold them."""

from llm_metrics_proxy.wire.facts import cut, finite, short_text, small_int


def test_request_values_that_no_column_could_hold_are_none() -> None:
    assert cut("x" * 300) == "x" * 256
    assert cut("") is None
    assert cut(7) is None
    assert (short_text(7), short_text("a"), short_text(True), short_text(2**70), short_text([])) == (
        "7", "a", None, None, None
    )  # fmt: skip
    assert small_int(-1) == -1
    assert small_int(2**70) is None
    assert finite(0.0) == 0.0
    assert finite(float("inf")) is None
