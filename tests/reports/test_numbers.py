import json
from pathlib import Path
from typing import Any, Final

import pytest

from llm_metrics_proxy.reports import numbers
from llm_metrics_proxy.reports.model import Figure
from llm_metrics_proxy.reports.numbers import MISSING

SHOWN: Final = Path(__file__).parents[2] / "dashboard/src/format/shown.json"
MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "ms", MISSING),
        (float("inf"), "ms", MISSING),
        (1e18, "tokens", "1,000,000T"),
        (-5.0, "tokens", f"{MINUS}5"),
    ],
)
def test_what_is_missing_or_too_large_is_shown_too(value: float | None, unit: str, text: str) -> None:
    assert numbers.shown(value, unit) == text


@pytest.mark.parametrize(("value", "unit", "text"), json.loads(SHOWN.read_text(encoding="utf-8")))
def test_a_number_is_shown_as_the_page_shows_it(value: float, unit: str, text: str) -> None:
    """``dashboard/src/format/numbers.test.ts`` reads the same table."""
    assert numbers.shown(value, "" if unit == "ratio" else unit) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0.0, "±0%"),
        (0.187, "+19%"),
        (-0.029, f"{MINUS}2.9%"),
        (0.0004, "±0%"),
        (20.0, "\N{MULTIPLICATION SIGN}21"),
    ],
)
def test_a_change_has_a_sign(value: float | None, text: str) -> None:
    assert numbers.change(value) == text


def a_figure(**facts: Any) -> Figure:
    return Figure(
        **{
            "name": "x", "label": "X", "unit": "", "value": 0.975, "n": 1, "coverage": 1.0, "previous": 0.982,
            "change": -0.007, "better": "up", **facts,
        }
    )  # fmt: skip


def test_a_share_changes_in_points_and_everything_else_relatively() -> None:
    assert numbers.changed(a_figure()) == f"{MINUS}0.7 points"
    assert numbers.changed(a_figure(previous=0.975)) == "±0"
    assert numbers.changed(a_figure(unit="ms", change=0.5)) == "+50%"
    assert numbers.changed(a_figure(previous=None, change=None)) == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, "(none)"),
        ("", '""'),
        ("llama", "llama"),
        ("<b>", "<b>"),
        ("a\u202eb\x00\x1b\n\u2028c", "a\ufffdb\ufffd\ufffd\ufffd\ufffdc"),
        ("x" * 100, "x" * 79 + "…"),
        ("\u05e9\u05dc", "\u05e9\u05dc"),
    ],
)
def test_a_name_of_a_stranger_hides_and_moves_nothing(text: str | None, shown: str) -> None:
    assert numbers.name(text) == shown


def test_a_name_from_right_to_left_is_isolated_in_a_sentence() -> None:
    assert numbers.isolated("\u05e9\u05dc") == "\u2068\u05e9\u05dc\u2069"
    assert numbers.isolated("llama") == "llama"


def test_times_are_those_of_the_zone() -> None:
    assert numbers.moment("2026-07-01T22:30:00.000000Z", "Europe/Berlin") == "2 Jul 2026, 00:30"
    assert numbers.moment("2026-07-01T22:30:00Z", "UTC", "%H:%M") == "22:30"
    assert numbers.moment(None, "UTC") == MISSING
    assert numbers.moment("no time \x00", "UTC") == "no time \ufffd"
    assert numbers.moment("0001-01-01T00:00:00Z", "America/New_York").endswith("00:00")


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("2026-03-08T00:00:00.000000Z", "7 days"),
        ("2026-03-02T00:00:00.000000Z", "1 day"),
        ("2026-03-02T12:00:00.000000Z", "36 hours"),
        ("2026-03-03T12:00:00.000000Z", "2.5 days"),
        ("2026-03-01T01:00:00.000000Z", "1 hour"),
        ("2026-03-01T00:15:00.000000Z", "15 minutes"),
        ("2026-03-01T00:00:07.000000Z", "7 seconds"),
    ],
)
def test_a_range_is_told_in_words(end: str, words: str) -> None:
    assert numbers.length("2026-03-01T00:00:00.000000Z", end) == words
