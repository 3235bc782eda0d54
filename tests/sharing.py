"""What the processes of ``pytest --numprocesses`` get: whole files, so that what a file prepares is made once.

The files of a folder whose preparation is the dear part go to one process. Files that start whole processes come first:
they are long, and the short ones after them leave no process without work at the end.
"""

from collections.abc import Sequence
from typing import Final

import pytest
from xdist.scheduler import LoadFileScheduling

_TOGETHER: Final = ("tests/real_server/test_litellm.py", "tests/real_server/test_other_clients.py")  # LiteLLM's start


def share_of(nodeid: str) -> str:
    """Tests of the same share run one after the other in one process."""
    file = nodeid.partition("::")[0]
    return _TOGETHER[0] if file in _TOGETHER else file


class Files(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """Whole files, or several of them."""

    def _split_scope(self, nodeid: str) -> str:
        return share_of(nodeid)


def long_first(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Whole files with a test of whole processes, then the others; otherwise in the order that they have."""
    long = {item.path for item in items if item.get_closest_marker("system")}
    return sorted(items, key=lambda item: item.path not in long)
