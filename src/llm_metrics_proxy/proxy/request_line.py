"""A request's first line (RFC 9112 section 3), checked before the parser sees it. Pure.

llhttp takes several blanks for one, RTSP and ICE for HTTP, and no minor version that it does not know. Which answer a
line gets must not depend on how its bytes were cut, so the parser gets it whole, and after this.
"""

import re
from typing import Final

from llm_metrics_proxy.proxy.headers import HeadRefusal

_METHOD: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TARGET: Final = rb"[^\x00-\x20\x7f]+"
_LINE: Final = re.compile(_METHOD + rb" " + _TARGET + rb" HTTP/([0-9])\.([0-9])")
_WITHOUT_VERSION: Final = re.compile(_METHOD + rb" " + _TARGET)  # HTTP/0.9
_BEGINNING: Final = re.compile(_METHOD + rb"(?: (?:" + _TARGET + rb"(?: [\x21-\x7e]*)?)?)?\r?")
_LOOKED_AT: Final = 64  # bytes of a beginning: other protocols show at once
_VERSION_BYTES: Final = len(b"1.1")
# Lines that were found good: clients use few paths, and looking one up takes a twentieth of the expression's 1.4 µs.
_MAX_LEARNED: Final = 1024
_LONGEST_LEARNED: Final = 256
_GOOD: Final[set[bytes]] = set()

NOT_A_LINE: Final = HeadRefusal(
    400,
    "bad_http",
    "The request is not valid HTTP: its first line must be a method, one space, a path, one space, HTTP/1.1.",
)


def may_begin(data: bytes) -> bool:
    """Whether a request line can begin like this, by its first few bytes; ``data`` is not empty."""
    return _BEGINNING.fullmatch(data[:_LOOKED_AT]) is not None


def checked(line: bytes) -> bytes | HeadRefusal:
    """The line without its CRLF as the parser is to read it, or why it is refused.

    A minor version that is not known yet counts as the highest that is (RFC 9110 section 2.5).
    """
    if line in _GOOD:
        return line
    match = _LINE.fullmatch(line)
    if match is None:
        return _version_refused("0.9") if _WITHOUT_VERSION.fullmatch(line) else NOT_A_LINE
    if match[1] != b"1":
        return _version_refused(f"{match[1].decode()}.{match[2].decode()}")
    if match[2] not in b"01":
        return line[:-_VERSION_BYTES] + b"1.1"
    if len(_GOOD) < _MAX_LEARNED and len(line) <= _LONGEST_LEARNED:
        _GOOD.add(line)
    return line


def _version_refused(version: str) -> HeadRefusal:
    return HeadRefusal(505, "http_version_not_supported", f"HTTP/{version} is not supported here; use HTTP/1.1.")
