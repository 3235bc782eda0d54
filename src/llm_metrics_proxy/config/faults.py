"""What is wrong with settings, in one line each: ``what (from where): what is allowed``, and where that stands.

A line never has a secret's value or credentials in a URL.
"""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from pydantic import BaseModel

from llm_metrics_proxy.config.table import SettingRow, table_rows
from llm_metrics_proxy.config.toml_lines import TomlLines
from llm_metrics_proxy.config.toml_tables import TOML_TABLES
from llm_metrics_proxy.store_address import store_address

_MAX_SHOWN_CHARS: Final = 80
_KINDS: Final[dict[Any, str]] = {
    bool: "true or false", int | float: "a number", str: "text", list: "a list", dict: "a table",
}  # fmt: skip


class SettingFault(str):
    """A line for people that knows which setting and which line of which file it is about, where that is known."""

    __slots__ = ("bare", "file", "line", "setting")

    bare: str  # the line without its place, for those who show that in a way of their own
    setting: str | None
    file: Path | None
    line: int | None  # from 1

    @classmethod
    def at(
        cls, text: str, setting: str | None = None, file: Path | None = None, line: int | None = None, bare: str = ""
    ) -> Self:
        """One fault."""
        made = cls(text)
        made.bare, made.setting, made.file, made.line = bare or text, setting, file, line
        return made


class GivenValue(NamedTuple):
    """A value as it was given, before validation; ``origin`` for people: ``flag --port``.

    ``file`` and ``lines`` are there for what a file gave: they know on which line each part of the value stands.
    """

    value: Any
    origin: str
    file: Path | None = None
    lines: TomlLines | None = None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """How a line about an unknown name ends."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else "; `llm-metrics-proxy doctor` lists them all"


def in_file(what: str, file: Path, line: int | None, text: str, setting: str | None = None) -> SettingFault:
    """About a place in a file."""
    return SettingFault.at(f"{what} ({file}{on_line(line)}): {text}", setting, file, line, f"{what}: {text}")


def on_line(line: int | None) -> str:
    """Words behind a file's name."""
    return "" if line is None else f" line {line}"


def of_setting(row: SettingRow, given: GivenValue, text: str) -> SettingFault:
    """About the value of a setting, wherever it came from."""
    line = None if given.lines is None else given.lines.of(row.name)
    what = f"{row.name} = {shown(row, given.value)}"
    return SettingFault.at(f"{what} ({given.origin}): {text}", row.name, given.file, line, f"{what}: {text}")


def of_table_key(name: str, fault: Any, given: GivenValue) -> SettingFault:
    """About a key of a table such as ``[[backends]]``. ``fault``: as pydantic describes an error."""
    _, index, *inside = fault["loc"]
    key = str(inside[0]) if inside else None
    at_head = key is None or fault["type"] == "missing"
    line = None if given.lines is None else given.lines.of_table(name, index, None if at_head else key)
    what, text = _in_table(name, index, key, fault, given.value)
    assert given.file is not None  # tables are in files only
    return in_file(what, given.file, line, text, name)


def _in_table(name: str, index: int, key: str | None, fault: Any, value: Any) -> tuple[str, str]:
    what = f"{name}[{index}]"
    reason = fault.get("ctx", {}).get("error")
    if key is None and not isinstance(value[index], dict):
        return what, f"is {_kind(value[index])}, not a table: write [[{name}]] and its keys below that"
    if key is None:
        return what, str(reason)
    kind, known = TOML_TABLES[name], table_rows(name)
    what += f".{key}"
    if fault["type"] == "missing":
        return what, f"is missing; it must be {known[key].allowed}"
    if fault["type"] == "extra_forbidden":
        return what, f"is not a key of {kind.noun}{did_you_mean(key, known)}"
    seen = "***" if key in kind.hidden else shown(known[key], value[index][key])
    because = f"{reason}; it " if isinstance(reason, ValueError) and key in kind.explained else ""
    return f"{what} = {seen}", f"{because}must be {known[key].allowed}"


def shown(row: SettingRow, value: Any) -> str:
    """A value fit for a screen: secrets hidden, control characters escaped, cut to 80 characters."""
    if value is None:
        return "none"
    if row.is_secret:
        return "***"
    if isinstance(value, bool):
        return str(value).lower()
    if row.name in TOML_TABLES:  # names alone: what else they hold may be secret
        if not isinstance(value, list):
            return _kind(value)
        label = TOML_TABLES[row.name].label
        names = [getattr(each, label) if isinstance(each, BaseModel) else each.get(label) for each in _tables(value)]
        return ", ".join(map(str, names)) or "none"
    text = repr(str(value)) if isinstance(value, str | Path) else repr(value)
    # Refused with credentials or a query, which must not end up in a log either.
    if row.name in {"backend", "url"} or (row.name == "store" and not _is_store(value)):
        text = re.sub(r"^(.*?//|')?.*@", r"\1***@", text, flags=re.DOTALL)
        text = re.sub(r"\?.*", "?***'", text, flags=re.DOTALL)
    return text if len(text) <= _MAX_SHOWN_CHARS else text[: _MAX_SHOWN_CHARS - 1] + "…"


def _kind(value: Any) -> str:
    """What a value of TOML is, without itself."""
    return next((words for kind, words in _KINDS.items() if isinstance(value, kind)), "a time")


def _is_store(value: Any) -> bool:
    try:
        store_address(str(value))
    except ValueError:
        return False
    return True


def _tables(value: list[Any]) -> list[Any]:
    return [each for each in value if isinstance(each, dict | BaseModel)]
