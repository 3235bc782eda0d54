"""A report as one HTML file that needs nothing else: style and charts are inside, and there is no script.

Everything goes through jinja2 with autoescape; the only text that is marked as safe are our own charts and style. The
page itself forbids what it does not need (Content-Security-Policy), so that not even a mistake here could load a thing.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from llm_metrics_proxy.analytics.headings import words
from llm_metrics_proxy.reports import numbers
from llm_metrics_proxy.reports.charts import NARROW, WIDE, svg
from llm_metrics_proxy.reports.contents import COLUMN_WORDS
from llm_metrics_proxy.reports.model import Chart, Figure, Report

if TYPE_CHECKING:
    from jinja2 import Template

_FOLDER: Final = files("llm_metrics_proxy.reports") / "templates"
_TILES: Final = (
    "requests", "success_rate", "time_to_first_token_ms.p50", "response_time_ms.p95", "output_tokens_per_second.p50",
    "total_tokens", "cache_hit_ratio", "cost_usd",
)  # fmt: skip


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _template() -> tuple["Template", str]:
    """Made once: the page's template, and the style."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # noqa: PLC0415 -- with the first page

    environment = Environment(
        autoescape=True, loader=FunctionLoader(_read), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        name=numbers.name,
        count=numbers.count,
        percent=numbers.percent,
        change=numbers.change,
        changed=numbers.changed,
        shown=numbers.shown,
        plain=numbers.plain,
    )
    return environment.get_template("report.html"), _read("report.css")


@lru_cache(maxsize=1)
def content_security_policy() -> str:
    """Only the page's own style, identified by its digest."""
    digest = b64encode(sha256(_template()[1].encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def html(report: Report) -> str:
    """The page."""
    template, style = _template()

    def moment(stored: str | None) -> str:
        return numbers.moment(stored, report.timezone)

    return template.render(
        report=report,
        style=Markup(style),  # noqa: S704 -- a file of ours
        policy=content_security_policy(),
        charts=list(_drawings(report)),
        tiles=tiles(report),
        words=words,
        columns=COLUMN_WORDS,
        judged=judged,
        moment=moment,
        length=numbers.length(report.start, report.end),
    )


def _drawings(report: Report) -> Iterator[tuple[Chart, Markup, bool]]:
    """Charts with their drawings, and whether they take the whole width: the first, and one that stands alone."""
    charts = [chart for chart in report.charts if chart.series]
    for number, chart in enumerate(charts):
        wide = number == 0 or (number == len(charts) - 1 and number % 2 == 1)
        yield chart, Markup(svg(chart, report.timezone, WIDE if wide else NARROW)), wide  # noqa: S704 -- made by us


def tiles(report: Report) -> list[Figure]:
    """The figures at the top: those of the page's overview."""
    by_name: Mapping[str, Any] = {figure.name: figure for figure in report.figures}
    return [by_name[name] for name in _TILES if name in by_name and by_name[name].value is not None]


def judged(figure: Figure) -> str:
    """Whether a change is good, bad, or neither."""
    if not figure.change or not figure.better:
        return "plain"
    return "good" if (figure.change > 0) == (figure.better == "up") else "bad"
