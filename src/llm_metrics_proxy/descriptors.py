"""Open files of a process: how many it may have, and how many it has. A connection is one, too."""

import os
import resource
from contextlib import suppress
from typing import Final

_LISTINGS: Final = ("/proc/self/fd", "/dev/fd")  # Linux; macOS and the BSDs
_ENDLESS: Final = 2**20  # as good as no limit
SHORTAGE_HINT: Final = "raise the limit of open files (ulimit -n, LimitNOFILE=, --ulimit nofile=)"


def raise_limit() -> None:
    """Take as many as the system grants without being asked: the hard limit. Children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # macOS: not as many as it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def limit() -> int:
    """How many this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _ENDLESS if soft == resource.RLIM_INFINITY else min(soft, _ENDLESS)


def in_use() -> int:
    """How many it has; an estimate where the system does not tell."""
    for folder in _LISTINGS:
        with suppress(OSError):
            return len(os.listdir(folder)) - 1  # noqa: PTH208 -- without the one of the listing itself
    return 32
