"""The small fields of a form that is uploaded (RFC 7578 ``multipart/form-data``), read as it streams by.

What is kept is the head of one part, or the value of one field that becomes a fact; of a file nothing is kept. Nothing
in a form makes this raise: what cannot be understood ends the reading, with what was known until then.
"""

import re
from typing import Final

from llm_metrics_proxy.wire.base import RequestFacts
from llm_metrics_proxy.wire.facts import cut, finite, small_int
from llm_metrics_proxy.wire.identity import one_line

MAX_HEAD_BYTES: Final = 8 * 1024  # of one part
MAX_VALUE_BYTES: Final = 1024

_BOUNDARY: Final = re.compile(
    rb';\s*boundary\s*=\s*(?:"([^"\r\n]{1,70})"|([^\s";,]{1,70})(?![^\s";,]))', re.I
)  # RFC 2046 5.1.1
_LINE_END: Final = re.compile(rb"[ \t]{0,254}\r\n")
_LINE_END_BEGUN: Final = re.compile(rb"[ \t]{0,254}\r?")
_DISPOSITION: Final = re.compile(rb"(?:^|\r\n)content-disposition\s*:\s*form-data((?:[^\r\n]|\r\n[ \t])*)", re.I)
_PARAMETER: Final = re.compile(rb';\s*([^=;\s]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))', re.S)
_WANTED: Final = frozenset({b"model", b"stream", b"n", b"user", b"temperature"})
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_INTEGER: Final = re.compile(r"-?[0-9]{1,15}")
_NUMBER: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,15})?")


def boundary_of(content_type: bytes | None) -> bytes | None:
    """What stands between the parts of a form; None if the type is no form, or does not say."""
    if content_type is None or content_type.partition(b";")[0].strip().lower() != b"multipart/form-data":
        return None
    found = _BOUNDARY.search(content_type)
    return None if found is None else found[1] or found[2]


class FormReader:
    """Reads one form, cut anywhere. ``ended``: nothing more will be learned of it."""

    __slots__ = ("_delimiter", "_held", "_name", "_state", "_value", "_values", "ended")

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._held = b"\r\n"  # before the first delimiter there need be no line
        self._state = self._content  # of no field: what stands before the first part
        self._name: bytes | None = None  # of the field whose value is read
        self._value = b""
        self._values: dict[bytes, str] = {}
        self.ended = False

    def feed(self, data: bytes) -> bool:
        """Take the next bytes. Whether they showed another fact."""
        known = len(self._values)
        rest = self._held + data
        self._held = b""
        while not self.ended and rest:
            rest = self._state(rest)
        return len(self._values) > known

    @property
    def model(self) -> str | None:
        """The model, once it has come."""
        return self._values.get(b"model")

    def facts(self) -> RequestFacts:
        """What is known so far."""
        of = self._values.get
        count, temperature = of(b"n", ""), of(b"temperature", "")
        return RequestFacts(
            model=cut(of(b"model")),
            user=one_line(of(b"user")),
            is_streaming=of(b"stream", "").lower() in _TRUE,
            choice_count=small_int(int(count)) if _INTEGER.fullmatch(count) else None,
            temperature=finite(float(temperature)) if _NUMBER.fullmatch(temperature) else None,
        )

    # The states: each takes what it can of ``data`` and returns the rest, or holds it and returns nothing.

    def _content(self, data: bytes) -> bytes:
        """In a part's content, up to the next delimiter."""
        end = data.find(self._delimiter)
        if end < 0:
            end = max(len(data) - len(self._delimiter) + 1, 0)
            self._held = data[end:]
            self._keep(data[:end])
            return b""
        self._keep(data[:end])
        self._state = self._after_delimiter
        return data[end + len(self._delimiter) :]

    def _after_delimiter(self, data: bytes) -> bytes:
        """Its line ends, or the form does; what goes on in any other way was no delimiter."""
        if data.startswith(b"--"):
            self._field_ends()
            self.ended = True
            return b""
        line_end = _LINE_END.match(data)
        if line_end is not None:
            self._field_ends()
            self._state = self._head
            return data[line_end.end() :]
        if data == b"-" or _LINE_END_BEGUN.fullmatch(data):
            return self._hold(data)
        self._keep(self._delimiter)
        self._state = self._content
        return data

    def _head(self, data: bytes) -> bytes:
        """The fields of a part's head, if it has any, and the blank line."""
        end = 0 if data.startswith(b"\r\n") else data.find(b"\r\n\r\n")
        if end < 0 or end > MAX_HEAD_BYTES:
            self.ended = end > MAX_HEAD_BYTES or len(data) > MAX_HEAD_BYTES + 3
            return self._hold(b"" if self.ended else data)
        self._name = _field_name(data[:end])
        if self._name in self._values:
            self._name = None  # the first one counts
        self._state = self._content
        return data[end + 2 :]  # its line end may be the beginning of the delimiter, where there is no content at all

    def _hold(self, data: bytes) -> bytes:
        self._held = data
        return b""

    def _keep(self, data: bytes) -> None:
        if self._name is not None:
            self._value += data
            if len(self._value) > MAX_VALUE_BYTES:
                self._name, self._value = None, b""

    def _field_ends(self) -> None:
        if self._name is not None:
            self._values[self._name] = self._value.decode("utf-8", "replace").strip()
        self._name, self._value = None, b""


def _field_name(head: bytes) -> bytes | None:
    """The name of a field that becomes a fact; None for any other, and for files."""
    disposition = _DISPOSITION.search(head)
    if disposition is None:
        return None
    given = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(disposition[1])}
    name = given.get(b"name")
    return name if name in _WANTED and not {b"filename", b"filename*"} & given.keys() else None
