"""What a server reported of its usage, in its own words, kept so that a later version can read it again.

A report is the server's own JSON object, known by where it stood in the answer: in ``usage``, or deeper.
A stream may bring several: running totals, or the prompt's first and the rest later. They are merged member by member,
and a zero or null never replaces more. Each dialect has one pure function from the merged reports to token counts.
"""

from collections.abc import Mapping
from typing import Any

Reports = Mapping[str, Mapping[str, Any]]  # by where they stood


class UsageReports:
    """Collects the reports of one answer."""

    __slots__ = ("merged",)

    def __init__(self) -> None:
        self.merged: dict[str, dict[str, Any]] = {}

    def take(self, where: str, report: object) -> None:
        """A report as it was decoded; anything but an object says nothing."""
        if isinstance(report, dict):
            kept = self.merged.get(where)
            if kept is None:
                self.merged[where] = report
            else:
                _merge(kept, report)

    def add(self, where: str, report: object) -> None:
        """A report of one part of the answer: its numbers are added to those of the parts before."""
        if isinstance(report, dict):
            kept = self.merged.get(where)
            if kept is None:
                self.merged[where] = report
            else:
                _add(kept, report)


def _merge(kept: dict[str, Any], report: dict[str, Any]) -> None:
    for name, value in report.items():
        before = kept.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            _merge(before, value)
        elif value or not before:
            kept[name] = value


def _add(kept: dict[str, Any], report: dict[str, Any]) -> None:
    for name, value in report.items():
        before = kept.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            _add(before, value)
        elif _is_number(before) and _is_number(value):
            kept[name] = before + value
        elif value or not before:
            kept[name] = value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
