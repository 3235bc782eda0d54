"""A report as Markdown, for pull requests, wikis and chats."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from llm_metrics_proxy.analytics.headings import words
from llm_metrics_proxy.reports.contents import COLUMN_WORDS
from llm_metrics_proxy.reports.model import Cell, Group, Report, Table
from llm_metrics_proxy.reports.numbers import MISSING, change, changed, count, moment, name, percent, plain, shown

# What begins markup, HTML, a link or a cell of a table; GitHub makes links of bare addresses, too.
_SPECIAL: Final = re.compile(r"[\\`*_{}\[\]<>#|~&$!@]|:(?=//)|(?<=www)\.")
_LISTED_TYPES: Final = 12
_OF_SLOWEST: Final = ("response_time_ms", "time_to_first_token_ms", "completion_tokens")


def text(value: str | None) -> str:
    """A text that somebody else chose, as that text and nothing more."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", name(value))


def _plain(sentence: str) -> str:
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", sentence)


def markdown(report: Report) -> str:
    """The document; ends in a line break."""
    zone = report.timezone
    parts = [
        "# LLM traffic report",
        f"{moment(report.start, zone)} to {moment(report.end, zone)}, {_plain(zone)}",
    ]
    if report.history is not None:
        parts.append(f"> {_plain(report.history.text)}")
    if report.pruned_before is not None:
        parts.append(
            f"> Most records from before {moment(report.pruned_before, zone)} were deleted by the retention: "
            f"{_lacking(report)} are those of what is left. All other numbers are from roll-ups, which count them."
        )
    parts.append("\n".join(f"- {_plain(sentence)}" for sentence in report.summary))
    if report.records:
        parts += ["## What changed", *_changes(report)]
        parts += ["## Figures", _figures(report)]
        for table in report.tables:
            parts += [f"## {table.title}", _groups(table)]
        if report.sessions:
            parts += ["## Sessions that used most", _sessions(report)]
        parts += ["## What went wrong", *_errors(report), "## The slowest requests", _slowest(report)]
    exact = f"within {percent(report.relative_error)}" if report.relative_error else "exact"
    parts.append(
        f"Computed {moment(report.generated_at, zone)} by version {report.app_version} from {count(report.records)} "
        f"records; percentiles are {exact}. n: records that have the value."
    )
    return "\n\n".join(parts) + "\n"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """The first ``texts`` columns are words, the others numbers."""
    marks = [":--" if place < texts else "--:" for place in range(len(titles))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (titles, marks, *rows))


def _lacking(report: Report) -> str:
    """What is from records alone."""
    errors = "examples of" if report.errors.pruned_before is None else "all about"
    return f"{errors} what went wrong and the slowest requests"


def _figures(report: Report) -> str:
    return _table(
        ("figure", "value", "before", "change", "n", "of requests"),
        [
            (
                one.label,
                shown(one.value, one.unit),
                shown(one.previous, one.unit),
                changed(one),
                count(one.n),
                "" if one.coverage is None else percent(one.coverage),
            )
            for one in report.figures
        ],
    )


def _groups(table: Table) -> str:
    titles = [COLUMN_WORDS[table.dimension], *(words(metric) for metric in table.metrics), "share"]
    return _table(
        titles,
        [
            (
                "all others" if group.merged else text(group.key),
                *(
                    _cell(cell, unit, merged=bool(group.merged))
                    for cell, unit in zip(group.cells, table.units, strict=True)
                ),
                "" if group.share is None else percent(group.share),
            )
            for group in table.groups
        ],
    )


def _numbers(group: Group, units: Sequence[str]) -> list[str]:
    return [_cell(cell, unit, merged=bool(group.merged)) for cell, unit in zip(group.cells, units, strict=True)]


def _cell(cell: Cell, unit: str, *, merged: bool) -> str:
    """The number, and how it changed."""
    moved = "" if merged else change(cell.change)
    return f"{_plain(shown(cell.value, unit))} ({moved})" if moved else _plain(shown(cell.value, unit))


def _changes(report: Report) -> list[str]:
    if not report.changes.told:
        return [report.changes.text]
    return ["\n".join(f"- {_plain(plain(one.text))}" for one in report.changes.told)]


def _sessions(report: Report) -> str:
    return _table(
        ("session", "application", "user", "requests", "tokens", "cache hit rate", "cost", "duration"),
        [
            (
                text(one.session_id),
                text(one.app) if one.app else MISSING,
                text(one.user) if one.user else MISSING,
                count(one.requests),
                shown(one.total_tokens, "tokens"),
                shown(one.cache_hit_ratio, ""),
                _plain(shown(one.cost_usd, "USD")),
                shown(one.duration_ms, "ms"),
            )
            for one in report.sessions
        ],
        texts=3,
    )


def _errors(report: Report) -> list[str]:
    errors = report.errors
    if not errors.errors or errors.share is None:
        return ["Nothing, according to the records."]
    rows = [
        (
            text(one.type),
            text(one.category),
            _plain(one.advice or ""),
            count(one.n),
            "" if one.share is None else percent(one.share),
        )
        for one in errors.types[:_LISTED_TYPES]
    ]
    return [
        f"{count(errors.errors)} of {count(errors.requests)} requests ({percent(errors.share)}).",
        _table(("error", "category", "what to do", "count", "of all"), rows, texts=3),
    ]


def _slowest(report: Report) -> str:
    return _table(
        (
            "began",
            "model",
            "client",
            "end",
            *map(words, _OF_SLOWEST),
        ),
        [
            (
                moment(one["timestamp"], report.timezone),
                text(one["model"]),
                text(one["origin"] or one["user"]),
                text(one["error_type"] or one["finish_reason"] or one["outcome"]),
                shown(one["response_time_ms"], "ms"),
                shown(one["time_to_first_token_ms"], "ms"),
                shown(one["completion_tokens"], "tokens"),
            )
            for one in report.slowest
        ],
        texts=4,
    )
