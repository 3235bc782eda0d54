from typing import Any

from llm_metrics_proxy.mcp_server.telling import MAX_CHARS, MAX_TEXT, fitted, told_text


def test_numbers_and_texts_are_short() -> None:
    told = fitted({"link": "x", "rows": [{"p95": 1234.56789, "n": 1234567, "model": "m" * 1000}], "none": None})
    (row,) = told["rows"]
    assert (row["p95"], row["n"], told["none"]) == (1234.57, 1234567, None)
    assert row["model"] == "m" * MAX_TEXT + "…"
    assert "left_out" not in told


def test_long_lists_are_shortened_until_it_fits_and_it_says_so() -> None:
    rows: list[Any] = [{"model": f"model number {number}", "requests": number} for number in range(5000)]
    told = fitted({"link": "x", "rows": rows, "notes": ["one", "two"]})
    assert len(told_text(told)) <= MAX_CHARS
    assert told["rows"] == rows[: len(told["rows"])]
    assert told["left_out"] == {"rows": 5000 - len(told["rows"])}
    assert len(told["rows"]) > 100
    assert told["notes"] == ["one", "two"]


def test_what_cannot_be_shortened_is_left_out_whole() -> None:
    told = fitted({"link": "x", "words": {str(number): "w" * 200 for number in range(500)}})
    assert told["link"] == "x"
    assert "ask for less" in told["left_out"]
