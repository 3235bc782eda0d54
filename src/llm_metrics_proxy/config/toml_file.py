"""A file of settings for people: what was chosen, then every other setting as a comment with its meaning and default.

Made from the settings table, so that it cannot name what does not exist. A line whose default is a value can have its
``# `` taken away, and means the same; one whose default is worked out has the words in place of a value.
"""

import json
import re
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.table import SettingRow, rows, table_rows
from llm_metrics_proxy.config.toml_tables import TOML_TABLES

_COLUMNS: Final = 100
_LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_MAY_BE_NONE: Final = "none"


def toml_file(chosen: Mapping[str, Any], head: Iterable[str], why: Mapping[str, str]) -> str:
    """The file's text. ``chosen``: values by setting; ``head``: lines of the comment at the top; ``why``: what to say
    above a chosen setting in place of its meaning."""
    table = rows()
    parts = [_comment(line) if line else "#" for line in head]
    for name, value in chosen.items():
        parts += ["", _comment(why.get(name, table[name].meaning)), f"{name} = {_toml(value)}"]
    group = ""
    for name, row in table.items():
        if name in chosen or row.toml_only:
            continue
        if row.group != group:
            group = row.group
            parts += ["", "", f"# --- {group}"]
        parts += ["", _comment(row.meaning), f"# {name} = {_default(row)}"]
    parts += ["", "", "# --- Tables, as often as needed; they stand at the end of the file"]
    for name in TOML_TABLES:
        parts += ["", _comment(table[name].meaning), f"# [[{name}]]"]
        parts += [f"# {key.name} = {_words(key)}" for key in table_rows(name).values() if key.default == "required"]
    return "\n".join(parts) + "\n"


def _comment(text: str) -> str:
    return textwrap.fill(_LINK.sub(r"\1", text), _COLUMNS, initial_indent="# ", subsequent_indent="# ")


def _default(row: SettingRow) -> str:
    field = Settings.model_fields[row.name]
    default = field.default
    if field.default_factory is not None or default is None:
        return _words(row)
    return _toml(row.default if row.unit == "bytes" and default else default)  # 64 MiB


def _words(row: SettingRow) -> str:
    """For what has no value of its own: no TOML, so that it cannot be taken for one."""
    default = "" if row.default in (_MAY_BE_NONE, "required") else f"; if not set: {row.default}"
    return f"({row.allowed}{default})"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return f"[{', '.join(_toml(each) for each in value)}]"
    assert isinstance(value, str | Path)
    return json.dumps(str(value), ensure_ascii=False)  # TOML's basic strings have JSON's escapes
