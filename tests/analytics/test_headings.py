"""One name for each number, and no name for two: in terminals, reports, the dashboard and Grafana."""

import io
import re
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import pytest
from rich.console import Console

from llm_metrics_proxy.analytics.headings import HEADINGS, as_title, short, words
from llm_metrics_proxy.analytics.measures import measure
from llm_metrics_proxy.cli import requests, top_view
from llm_metrics_proxy.cli.top_window import Cost, ModelLine, Percentiles
from llm_metrics_proxy.record import ALL_COLUMNS
from llm_metrics_proxy.reports.contents import COLUMNS, FIGURES
from tests.messages import messages

DASHBOARD: Final = Path(__file__).parents[2] / "dashboard" / "src"
_SPEED: Final = "output_tokens_per_second"


def test_every_number_has_a_name_of_its_own() -> None:
    for names in ([each.words for each in HEADINGS.values()], [each.short for each in HEADINGS.values()]):
        assert len(set(names)) == len(names)
    for name in HEADINGS.keys() - {"errors"}:
        measure(name if name not in ALL_COLUMNS or name.endswith(("tokens", "_usd")) else f"{name}.p50")


def test_the_two_speeds_are_not_called_alike() -> None:
    assert (words(f"{_SPEED}.p50"), short(f"{_SPEED}.p50")) == ("output speed median", "out tok/s p50")
    assert as_title(f"{_SPEED}.p50") == "Output speed, median"
    assert not any("speed" in each.words for name, each in HEADINGS.items() if name != _SPEED)


def by_short() -> dict[str, str]:
    return {each.short: name for name, each in HEADINGS.items()}


def test_the_table_of_requests_shows_under_each_heading_the_number_of_that_name() -> None:
    record: dict[str, Any] = {name: float(1000 + at) for at, name in enumerate(ALL_COLUMNS)}
    measured = [column for column in requests._COLUMNS if column.title in by_short()]
    assert {by_short()[column.title] for column in measured} >= {_SPEED, "response_time_ms", "completion_tokens"}
    for column in measured:
        assert float(str(column.cell(record)).replace(",", "")) == record[by_short()[column.title]], column.title
    others = {column.title for column in requests._COLUMNS} - by_short().keys()
    assert others == {"time (UTC)", "model", "origin", "status", "end"}


def drawn(table: Any) -> dict[str, str]:
    """The cells of a table of one line by heading."""
    out = Console(file=io.StringIO(), width=300, highlight=False, emoji=False)
    out.print(table)
    head, line = (re.split(r"\s{2,}", each.strip()) for each in out.file.getvalue().splitlines())  # type: ignore[attr-defined]
    return dict(zip(head, line, strict=True))


def test_top_shows_under_each_heading_the_number_of_that_name() -> None:
    numbers = {
        "requests_per_second": 1.5, "requests": 2, "time_to_first_token_ms.p50": 300, "time_to_first_token_ms.p95": 400,
        f"{_SPEED}.p50": 98.6, "cost_usd": 0.0006, "errors": 7,
    }  # fmt: skip
    line = ModelLine(
        model="m", requests=2, requests_per_second=1.5, errors=7, cost_usd=Cost(n=1, sum=0.0006),
        time_to_first_token_ms=Percentiles(n=1, p50=300.0, p95=400.0),
        output_tokens_per_second=Percentiles(n=1, p50=98.6, p95=99.0),
    )  # fmt: skip
    cells = drawn(top_view._models([line], 0, 300, snug=True))
    assert {name: float(cells[short(name)]) for name in numbers} == numbers
    record = {name: float(100 + at) for at, name in enumerate(ALL_COLUMNS)} | {
        "success": True,
        "timestamp": "2026-03-01T12:00:00Z",
    }
    cells = drawn(top_view._newest([record], 300, snug=True))
    shown = {by_short()[title]: float(cell) for title, cell in cells.items() if title in by_short()}
    assert shown == {name: record[name] for name in shown}
    assert len(shown) == 3


def test_a_report_names_its_figures_and_columns_by_the_table() -> None:
    figures = [as_title(name) for name, _ in FIGURES]
    assert len(set(figures)) == len(figures)
    assert len({words(name) for name in COLUMNS}) == len(COLUMNS)


def named_in_the_dashboard() -> set[tuple[str, str]]:
    """Column or metric without its part, and the key of what it is called."""
    patterns = (
        r'(?:metric|name|column): "([a-z_]+)[.\w]*",\s*label: "(metric\.\w+)"',
        r'^  "?([a-z_]+)[.\w]*"?: "(metric\.\w+)"',
        r'title: "(metric\.\w+)"[^}]*?(?:metric|column): "([a-z_]+)[.\w]*"',
    )
    found = set()
    for file in DASHBOARD.rglob("*.ts*"):
        text = file.read_text(encoding="utf-8")
        for pattern in patterns[:2]:
            found |= {(name, key) for name, key in re.findall(pattern, text, re.M)}
        found |= {(name, key) for key, name in re.findall(patterns[2], text)}
    return found


def test_the_dashboard_calls_no_two_numbers_alike() -> None:
    found = named_in_the_dashboard()
    assert (_SPEED, "metric.output_speed") in found
    assert ("tokens_per_second", "metric.tokens_per_second") in found
    assert len(found) > 15
    numbers = defaultdict(set)
    for name, key in found:
        numbers[key].add(name)
    assert {key: names for key, names in numbers.items() if len(names) > 1} == {}


@pytest.mark.parametrize("language", ["de", "en", "es", "fr", "ja", "ko", "ru", "zh"])
def test_no_language_calls_two_of_its_numbers_alike(language: str) -> None:
    names = {key: said[language] for key, said in messages().items() if key.startswith("metric.")}
    keys = {key for _, key in named_in_the_dashboard()}
    assert keys <= names.keys()
    shown = [names[key] for key in sorted(keys)]
    assert len(set(shown)) == len(shown)
    assert names["metric.tokens_per_second"].casefold() != "tokens per second", "which ones?"
