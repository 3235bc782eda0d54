"""What a server reported of its usage, in its own words, kept so that a later version can read it again.

A report is the server's own JSON object, known by where it stood in the answer: in ``usage``, or deeper.
A stream may bring several: running totals, or the prompt's first and the rest later. They are merged member by member,
and a zero or null never replaces more. Each dialect has one pure function from the merged reports to token counts.

What is kept is JSON text of at most ``MAX_REPORT_BYTES``: numbers and short words. A longer text is replaced by "…", so
nothing that was said to or by a model is ever part of it. What is longer then is cut in this order until it fits: in a
list whose parts name their ``type``, those of one type become their sum; all that is no number goes, except words named
``type``; then what stands deepest; then what stands last, and is not named after tokens.
"""

from collections.abc import Mapping
from itertools import islice
from math import isfinite
from typing import Annotated, Any, Final

import msgspec

from llm_metrics_proxy.wire.tolerant import UNREADABLE

Reports = Mapping[str, Mapping[str, Any]]  # by where they stood

MAX_REPORT_BYTES: Final = 2048
TOP: Final = "answer"  # where counts are that stand in the answer itself, in no object of their own
REFUSED_IN: Final = "refused in "
_MAX_WORD_CHARS: Final = 64
_MAX_DEPTH: Final = 8
_MOST_MEMBERS: Final = 48  # of one object or list: servers send a dozen
_MOST_PARTS: Final = 1024  # of a list that is added up
_MERGED_DEPTH: Final = 3
_MAX_INT: Final = 2**63
_CUT: Final = "…"
_NONSENSE: Final = -1  # no amount

# What nearly all reports are like: the decoder checks in C that there is nothing else in one.
_Word = Annotated[str, msgspec.Meta(max_length=_MAX_WORD_CHARS)]
_Value = int | float | bool | _Word | None
_Inner = dict[_Word, _Value | dict[_Word, _Value]]
Report = dict[_Word, _Value | _Inner | list[_Value | _Inner]]
_Plain = dict[_Word, Report]
_check_plain: Final = msgspec.json.Decoder(_Plain).decode
_encode: Final = msgspec.json.Encoder().encode


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
        """A report of one part of the answer: its amounts are added to those of the parts before.

        What is no amount and stands where others have one is kept apart, in ``REFUSED_IN`` this place.
        """
        if isinstance(report, dict):
            kept = self.merged.get(where)
            if kept is None:
                self.merged[where] = report
            else:
                refused: dict[str, Any] = {}
                _add(kept, report, refused)
                self.take(REFUSED_IN + where, refused or None)

    @property
    def text(self) -> str | None:
        """What is kept of them, as compact JSON; None without any report."""
        return kept_text(self.merged) if self.merged else None


def summed(reports: Reports, where: str) -> dict[str, Any]:
    """A report of parts that were added up. A count of which one part was nonsense is nonsense: -1 and 7 are not 6."""
    refused = reports.get(REFUSED_IN + where, {})
    return {**reports.get(where, {}), **dict.fromkeys(refused, _NONSENSE)}


def members_given(**members: Any) -> dict[str, Any] | None:
    """Counts that stand beside other members of an answer, as a report; those that are missing are left out."""
    return {name: value for name, value in members.items() if value is not None} or None


def kept_text(reports: Mapping[str, Any]) -> str:
    """What is kept of reports, as compact JSON."""
    try:
        text = _encode(reports)
        if len(text) <= MAX_REPORT_BYTES:
            again = _check_plain(text)
            if b"null" not in text or again == reports:  # infinite numbers are written as null
                return text.decode()
    except UNREADABLE:
        pass  # odd: it is looked at member by member
    return _cut(_cleaned(reports, _MAX_DEPTH, only_numbers=False))


def kept_of_one(where: str, report: Report) -> str:
    """The same of one report that the decoder has checked."""
    text = _encode({where: report})
    return text.decode() if len(text) <= MAX_REPORT_BYTES else kept_text({where: report})


def _merge(kept: dict[str, Any], report: dict[str, Any], depth: int = _MERGED_DEPTH) -> None:
    for name, value in report.items():
        before = kept.get(name)
        if isinstance(before, dict) and isinstance(value, dict) and depth > 1:
            _merge(before, value, depth - 1)
        elif value or not before:
            _put(kept, name, value)


def _add(kept: dict[str, Any], report: dict[str, Any], refused: dict[str, Any], depth: int = _MERGED_DEPTH) -> None:
    for name, value in report.items():
        before = kept.get(name)
        if _is_amount(value):
            if _is_amount(before):
                kept[name] = before + value
                continue
            if before is not None:
                _put(refused, name, before)
            _put(kept, name, value)
        elif isinstance(before, dict) and isinstance(value, dict) and depth > 1:
            _add(before, value, refused, depth - 1)
        elif value is not None:
            _put(refused if _is_amount(before) else kept, name, value)


def _put(kept: dict[str, Any], name: str, value: Any) -> None:
    """A server may send reports without end: what is held of them is bounded."""
    if name in kept or len(kept) < _MOST_MEMBERS:
        kept[name] = value if type(value) is int else _cleaned(value, _MERGED_DEPTH, only_numbers=False)


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _by_type(parts: list[Any]) -> list[Any]:
    """Parts that name their type (Anthropic's iterations), with those of one type added up; others as they are."""
    if not all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in parts):
        return parts
    sums: dict[str, dict[str, Any]] = {}
    for part in islice(parts, _MOST_PARTS):
        kept, refused = sums.setdefault(part["type"], {}), dict[str, Any]()
        _add(kept, part, refused)
        kept |= dict.fromkeys(refused, _NONSENSE)
    return list(sums.values())


def _added_up(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _added_up(each) for name, each in value.items()}
    return _by_type(value) if isinstance(value, list) else value


def _tokens_first(members: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    return sorted(members.items(), key=lambda member: "token" not in str(member[0]).lower())


def _cut(reports: dict[str, dict[str, Any]]) -> str:
    if len(_encode(reports)) > MAX_REPORT_BYTES:
        reports = _added_up(reports)
    depth = _MAX_DEPTH
    while len(text := _encode(reports)) > MAX_REPORT_BYTES:
        if depth == 1:
            return _encode(_first_members(reports)).decode()
        reports = _cleaned(reports, depth, only_numbers=True)
        depth -= 1
    return text.decode()


def _first_members(reports: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """As many members as there is room for, in their order."""
    kept: dict[str, dict[str, Any]] = {where: {} for where in reports}
    size = len(_encode(kept))
    for where, report in reports.items():
        for name, value in _tokens_first(report):
            size += len(_encode({name: value})) - 1  # without its braces, with a comma
            if size > MAX_REPORT_BYTES:
                return kept
            kept[where][name] = value
    return kept


def _cleaned(value: Any, depth: int, *, only_numbers: bool, name: str = "") -> Any:
    """``value`` without what does not belong into a report, and without what is deeper than ``depth``."""
    if isinstance(value, dict):
        given = value.items() if len(value) <= _MOST_MEMBERS else islice(_tokens_first(value), _MOST_MEMBERS)
        members = {
            _sound(key): _cleaned(each, depth - 1, only_numbers=only_numbers, name=key)
            for key, each in given
            if depth > 0 and isinstance(key, str) and len(key) <= _MAX_WORD_CHARS
        }
        return {key: each for key, each in members.items() if each is not None} if only_numbers else members
    if isinstance(value, list):
        some = islice(_by_type(value) if len(value) > _MOST_MEMBERS else value, _MOST_MEMBERS if depth > 0 else 0)
        return [_cleaned(each, depth - 1, only_numbers=only_numbers) for each in some]
    if isinstance(value, str):
        if only_numbers and name != "type":
            return None
        return _sound(value) if len(value) <= _MAX_WORD_CHARS else _CUT
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -_MAX_INT <= value < _MAX_INT else _CUT
    if isinstance(value, float):
        return value if isfinite(value) else _CUT
    return None if only_numbers else value


def _sound(text: str) -> str:
    """Half characters cannot be written as UTF-8."""
    return text.encode(errors="replace").decode()
