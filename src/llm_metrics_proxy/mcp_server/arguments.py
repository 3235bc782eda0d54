"""What a tool takes: its JSON schema, and arguments read by it. Pure.

Agents write a list as a list or as words with commas, and a number as text: what is meant is taken. What is not known
is refused with what is, for a mistyped argument would select everything and look like an answer.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from llm_metrics_proxy.analytics.moments import moment_or_age
from llm_metrics_proxy.analytics.suggestions import unknown
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.mcp_server.links import SPANS, USUAL, ShownRecords

_MAX_CHARS: Final = 4096
_ALL: Final = SPANS[-1]


class Argument(NamedTuple):
    """``kind``: text, texts, whole or flag. ``most``: of a whole number; ``words``: all that a text can be."""

    name: str
    kind: str
    meaning: str
    default: Any = None
    most: int = 0
    words: tuple[str, ...] = ()
    required: bool = False

    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        kinds: dict[str, dict[str, Any]] = {
            "text": {"type": "string"},
            "texts": {"type": "array", "items": {"type": "string"}},
            "whole": {"type": "integer", "minimum": 1, "maximum": self.most},
            "flag": {"type": "boolean"},
        }
        found = {**kinds[self.kind], "description": self.meaning}
        if self.words:
            found["enum"] = list(self.words)
        if self.default is not None:
            found["default"] = list(self.default) if isinstance(self.default, tuple) else self.default
        return found

    def read(self, value: Any) -> Any:
        """The value meant. Raises ``QueryError``."""
        if value is None:
            if self.required:
                raise QueryError(self.name, f"{self.name} is missing: {self.meaning}")
            return self.default
        found: Any = _READERS[self.kind](self.name, value)
        if self.kind == "whole" and not 1 <= found <= self.most:
            raise QueryError(self.name, f"{self.name} must be from 1 to {self.most}; it is {found}")
        if self.words and found not in self.words:
            raise QueryError(self.name, unknown(self.name, found, self.words))
        return found


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value or len(value) > _MAX_CHARS:
        raise QueryError(name, f"{name} must be a text of 1 to {_MAX_CHARS} characters")
    return value


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        # A condition may have commas of its own, so that only lists of names are cut.
        return (value,) if name == "where" else tuple(one.strip() for one in value.split(",") if one.strip())
    if not isinstance(value, Sequence):
        raise QueryError(name, f"{name} must be a list of texts")
    return tuple(_text(name, one) for one in value)


def _whole(name: str, value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value[:9])
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise QueryError(name, f"{name} must be a whole number")
    return value


def _flag(name: str, value: Any) -> bool:
    found = {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise QueryError(name, f"{name} must be true or false")
    return found


_READERS: Final = {"text": _text, "texts": _texts, "whole": _whole, "flag": _flag}

SINCE: Final = Argument(
    "since",
    "text",
    "From when on: an age such as 15m, 24h, 7d, an ISO 8601 time (UTC unless it names a zone), or `all`.",
    USUAL,
)
UNTIL: Final = Argument("until", "text", "Up to, not including, this age or time; now without it.")
WHERE: Final = Argument(
    "where",
    "texts",
    "Conditions that must all be met, each on one column: `model=a,b` (any of them), `user!=anna`, `success=false`, "
    "`response_time_ms>5000` (also >=, <, <=), `error_type=(none)` (no value). The tool `explain` lists columns.",
)
SELECTION: Final = (SINCE, UNTIL, WHERE)


def input_schema(arguments: Sequence[Argument]) -> dict[str, Any]:
    """Of a whole tool."""
    required = [one.name for one in arguments if one.required]
    return {
        "type": "object",
        "properties": {one.name: one.schema() for one in arguments},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def read_arguments(arguments: Sequence[Argument], given: Mapping[str, Any]) -> dict[str, Any]:
    """Every argument by name. Raises ``QueryError``."""
    known = [one.name for one in arguments]
    for name in given:
        if name not in known:
            raise QueryError(name[:64], unknown("argument", name[:64], known))
    return {one.name: one.read(given.get(one.name)) for one in arguments}


def chosen(read: Mapping[str, Any], now: datetime) -> ShownRecords:
    """What ``SELECTION`` says. Raises ``QueryError``."""
    since, until, where = (read[one.name] for one in SELECTION)
    start = None if since == _ALL else moment_or_age(since, "since", now)
    end = None if until is None else moment_or_age(until, "until", now)
    span = since if since in SPANS and until is None else None
    return ShownRecords(span, start, end or (now if start is not None else None), tuple(where or ()))


def parameters(shown: ShownRecords) -> list[tuple[str, str]]:
    """The same for the API. A span that goes on has no end, so that what arrives meanwhile counts."""
    found = [] if shown.start is None else [("start", shown.start.isoformat())]
    if shown.end is not None and shown.span is None:
        found.append(("end", shown.end.isoformat()))
    return found + [("where", condition) for condition in shown.where]
