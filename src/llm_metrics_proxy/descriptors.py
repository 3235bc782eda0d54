"""Open files of a process: how many it may have and has, and what follows for connections, each of which is one too.

Both servers decide alike. What else they may have to open comes first. Of the rest a few places are for connections
that are accepted to be answered with 503, and beyond those nobody is accepted.
"""

import os
import resource
from collections.abc import Collection
from contextlib import suppress
from typing import Final, NamedTuple

_LISTINGS: Final = ("/proc/self/fd", "/dev/fd")  # Linux; macOS and the BSDs
_ENDLESS: Final = 2**20  # as good as no limit
_COMPLAINT_EVERY_S: Final = 10.0
SHORTAGE_HINT: Final = "raise the limit of open files (ulimit -n, LimitNOFILE=, --ulimit nofile=)"


def raise_limit() -> None:
    """Raise the soft limit to the hard one. Children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # macOS: not as many as it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def limit() -> int:
    """How many this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _ENDLESS if soft == resource.RLIM_INFINITY else min(soft, _ENDLESS)


def in_use() -> int:
    """How many it has; an estimate where the system does not say."""
    for folder in _LISTINGS:
        with suppress(OSError):
            return len(os.listdir(folder)) - 1  # noqa: PTH208 -- without the one of the listing itself
    return 32


def nameless_file() -> int:
    """A descriptor of memory where the system offers that, else of a file whose name is gone: it may hold a token."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("llm-metrics-proxy")
    import tempfile  # noqa: PLC0415 -- where it is not needed it is 1 MB of every process

    fd, path = tempfile.mkstemp(prefix="llm-metrics-proxy-")
    os.unlink(path)  # noqa: PTH108 -- the descriptor keeps it alive; nothing is left behind
    return fd


class Places(NamedTuple):
    """Connections that a process can have: ``served``, and ``refused``, which are answered with 503."""

    served: int
    refused: int


def places(spare: int, each: int, fewest_refused: int, most_refused: int) -> Places:
    """Share out ``spare`` descriptors. ``each``: what one that is served takes. It may come to less than one."""
    refused = max(fewest_refused, min(most_refused, spare // 8))
    return Places((spare - refused) // each, refused)


class Complaints:
    """Whether to log once more that somebody was turned away: at most every ten seconds."""

    def __init__(self) -> None:
        self._next_s = float("-inf")

    def are_due(self, now_s: float) -> bool:
        """Asking counts; ``now_s`` is monotonic."""
        if now_s < self._next_s:
            return False
        self._next_s = now_s + _COMPLAINT_EVERY_S
        return True


def close_all_but(kept: Collection[int]) -> None:
    """In a process that was just made of another: what is that one's."""
    for folder in _LISTINGS:
        with suppress(OSError):
            for fd in {*map(int, os.listdir(folder))} - {*kept}:  # noqa: PTH208 -- as above
                with suppress(OSError):  # the one of the listing
                    os.close(fd)
            return
    first = 0  # a root without /proc: whatever stayed open would keep another's end from being noticed
    for fd in (*sorted(kept), limit()):
        if first < fd:  # CPython takes the empty range at 0 for all there are
            os.closerange(first, fd)
        first = fd + 1
