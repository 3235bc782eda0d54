"""The line of each key of a TOML file, which the parser does not give and people look for."""

import re
from typing import Final

_KEY: Final = re.compile(r"""\s*(?:([A-Za-z0-9_-]+)|"([^"]+)"|'([^']+)')\s*[=.]""")
_TABLE: Final = re.compile(r"""\s*\[(\[?)\s*["']?([A-Za-z0-9_-]+)""")


class TomlLines:
    """Finds lines by looking at how they begin. It can miss a key that is written in an odd way, which then has no
    line. It never looks at values, which only the parser understands."""

    def __init__(self, text: str) -> None:
        self._keys: dict[str, int] = {}  # outside of tables, and the first line of each table
        self._tables: dict[str, list[tuple[int, dict[str, int]]]] = {}  # [[name]]: its line and its keys', in order
        inside: dict[str, int] | None = self._keys
        section = ""
        for number, line in enumerate(text.splitlines(), 1):
            if (table := _TABLE.match(line)) is not None:
                inside, section = {}, "" if table[1] or "." in line else f"{table[2]}_"
                self._keys.setdefault(table[2], number)
                if table[1]:
                    self._tables.setdefault(table[2], []).append((number, inside))
                elif "." in line and self._tables.get(table[2]):  # [name.part] goes on with the newest [[name]]
                    part = line.partition(".")[2].strip(" ]\t\"'")
                    self._tables[table[2]][-1][1].setdefault(part, number)
            elif inside is not None and (key := _KEY.match(line)) is not None:
                name = key[1] or key[2] or key[3]
                inside.setdefault(name, number)
                if section:  # [name] key: a setting may be called name_key
                    self._keys.setdefault(name if name.startswith(section) else section + name, number)

    def of(self, key: str) -> int | None:
        """The line of a key or table of the top level."""
        return self._keys.get(key)

    def of_table(self, name: str, index: int, key: str | None) -> int | None:
        """The line of a key of the ``index``-th ``[[name]]``, or, without one, of the table's head."""
        tables = self._tables.get(name, [])
        if index >= len(tables):
            return self.of(name)
        line, keys = tables[index]
        return line if key is None else keys.get(key, line)
