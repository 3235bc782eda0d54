"""What the statements of ``carry_sql`` ask of Python; nothing of it is asked for a record that has nothing unusual."""

import json
from collections.abc import Callable
from typing import Any, Final

import apsw

from llm_metrics_proxy.migration.counts import recounted, reported_cost
from llm_metrics_proxy.record import literal
from llm_metrics_proxy.storage.report_shapes import ReportShapes

ENCODINGS: Final = {"UTF-8": "utf-8", "UTF-16le": "utf-16-le", "UTF-16be": "utf-16-be"}  # Python's names


def register(connection: apsw.Connection) -> None:
    """Have a connection know the functions; once for each connection."""
    encoding = ENCODINGS[connection.pragma("encoding")]

    def decoded(value: bytes) -> str:
        return value.decode(encoding, errors="replace")

    def is_unicode(value: bytes | None) -> bool:
        try:
            (value or b"").decode(encoding)
        except UnicodeDecodeError:
            return False
        return True

    def unfit_object(*given: Any) -> str | None:
        """Of each column: its name or None, the type of its value, and the value, of text the bytes."""
        found = {}
        for name, kind, value in zip(given[::3], given[1::3], given[2::3], strict=True):
            if name is not None:
                found[name] = literal(decoded(value) if kind == "text" else value)
        return json.dumps(found, ensure_ascii=False) if found else None

    functions: dict[str, Callable[..., Any]] = {
        "is_unicode": is_unicode,
        "repaired": decoded,
        "unfit_object": unfit_object,
        "recounted": recounted,
        "reported_cost": reported_cost,
    }
    for name, function in functions.items():
        connection.create_scalar_function(name, function, -1, deterministic=True)
    ReportShapes(connection).function()
