"""May a request be sent again whose connection broke before an answer began? Pure.

RFC 9110 section 9.2.2: one that is not idempotent only if the server cannot have begun with it. ``delivery`` proves
that; ``retry_unsafe=stale`` takes a reused connection's early end for it as well.
"""

from typing import Final

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
NOT_REPEATED: Final = (
    "The LLM server closed the connection unanswered. It may have begun with the request, which is not sent again "
    "(see retry_unsafe)."
)
_UNSENT: Final = "unsent"  # in attempt_errors: it broke before anything of the request reached the server
_STALE_WINDOW_NS: Final = 100_000_000  # a reused connection that dies this soon was perhaps closed when we wrote to it


def stale_window_ns(connect_ns: int) -> int:
    """After so long, a connection that took ``connect_ns`` to make was alive when it was written to."""
    return max(_STALE_WINDOW_NS, 2 * connect_ns)


def repeatable(
    mode: str, method: bytes, cause: str, *, unsent: bool, reused: bool, first: bool, after_ns: int, connect_ns: int
) -> str | None:
    """The word for an attempt that may be followed by another; ``None``: it may not.

    ``first``: the request was not sent again yet. ``after_ns``: from sending to the connection's end.
    """
    if unsent and (mode != "never" or method in IDEMPOTENT):
        return _UNSENT
    if not (reused and first):
        return None
    if method in IDEMPOTENT:
        return cause
    return cause if mode == "stale" and after_ns <= stale_window_ns(connect_ns) else None
