import re
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.reports.charts import NARROW, WIDE, Area, scale, svg
from llm_metrics_proxy.reports.model import Chart, Point

SVG = "{http://www.w3.org/2000/svg}"


def a_chart(kind: str, *values: list[float | None], **facts: Any) -> Chart:
    points = [
        Point(start=f"2026-03-{1 + number // 24:02}T{number % 24:02}:00:00Z", requests=1, values=one)
        for number, one in enumerate(values)
    ]
    series = [str(number) for number in range(len(values[0]) if values else 0)]
    return Chart(**{"name": "c", "title": "C", "kind": kind, "unit": "ms", "series": series, "points": points, **facts})


def drawn(chart: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(svg(chart, "UTC", NARROW))


def hours(count: int) -> list[list[float | None]]:
    return [[float(number)] for number in range(count)]


NUMBERS = st.none() | st.floats(0, 1e12)


@given(st.lists(st.lists(NUMBERS, min_size=2, max_size=2), max_size=30), st.sampled_from(["stacked", "lines"]))
def test_whatever_the_values_are_everything_stands_inside_the_drawing(
    values: list[list[float | None]], kind: str
) -> None:
    root = drawn(a_chart(kind, *values))
    width, height = NARROW
    for rect in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(rect.get(name, "nan")) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
    for line in root.iter(f"{SVG}polyline"):
        for pair in line.get("points", "").split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height
    assert "nan" not in svg(a_chart(kind, *values), "UTC", WIDE)


@given(st.lists(st.floats(0, 1e12), min_size=1), st.booleans())
def test_a_scale_has_few_round_lines_around_all_values(values: list[float], from_zero: bool) -> None:
    found = scale(values, from_zero=from_zero)
    assert found.ticks == tuple(sorted(found.ticks))
    assert 2 <= len(found.ticks) <= 8
    assert found.ticks[-1] >= max(values) * 0.9999
    assert all(found.logarithmic or -1e-9 <= found.share(value) <= 1.0001 for value in values)


def test_parts_are_stacked_without_gaps_and_none_is_drawn_for_nothing() -> None:
    rects = list(drawn(a_chart("stacked", [30.0, 10.0], [0.0, None], [5.0, 0.0])).iter(f"{SVG}rect"))
    assert [rect.get("class") for rect in rects] == ["s0", "s1", "s0"]
    lower, upper = rects[:2]
    assert float(upper.get("y", "")) + float(upper.get("height", "")) == pytest.approx(
        float(lower.get("y", "")), abs=0.2
    )
    assert float(lower.get("height", "")) == pytest.approx(3 * float(upper.get("height", "")), rel=0.02)


def test_what_is_missing_leaves_a_gap_and_a_lonely_value_is_a_dot() -> None:
    root = drawn(a_chart("lines", [1.0], [2.0], [None], [3.0], [None], [4.0], [5.0]))
    assert [len(line.get("points", "").split()) for line in root.iter(f"{SVG}polyline")] == [2, 2]
    assert len(list(root.iter(f"{SVG}circle"))) == 1


def test_values_far_apart_get_a_logarithmic_scale() -> None:
    assert scale([10.0, 90_000.0], from_zero=False).ticks == (10, 100, 1000, 10_000, 100_000)
    assert not scale([10.0, 90_000.0], from_zero=True).logarithmic
    assert scale([0.0, 90.0], from_zero=False).ticks == (0, 25, 50, 75, 100)


def test_days_are_named_once_where_they_begin_and_hours_on_a_short_range() -> None:
    week = a_chart("lines", *hours(24 * 4))
    labels = [text.text for text in drawn(week).iter(f"{SVG}text") if text.get("text-anchor") == "middle"]
    assert labels == ["2 Mar", "3 Mar", "4 Mar"]
    few = a_chart("lines", *hours(6))
    labels = [text.text for text in drawn(few).iter(f"{SVG}text") if text.get("text-anchor") == "middle"]
    assert labels == ["00:00", "02:00", "04:00"]


def test_nothing_is_an_empty_drawing() -> None:
    assert list(drawn(a_chart("stacked")).iter(f"{SVG}rect")) == []
    assert Area(*NARROW).x(0, 0) > 0


def test_no_style_is_written_into_the_elements() -> None:
    text = svg(a_chart("stacked", [1.0, 2.0], title='"><script>'), "UTC", WIDE)
    assert not re.search(r"style=|fill=|stroke=|<script", text)
