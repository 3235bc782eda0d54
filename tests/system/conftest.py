"""Every story here starts whole processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.house import House
from tests.system.kinds import handler
from tests.upstream import FakeUpstream


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    """A fake server that knows the kinds of the load."""
    with FakeUpstream(handler) as server:
        yield server


@pytest.fixture
def house(tmp_path: Path, upstream: FakeUpstream) -> House:
    """A data folder of its own, and no life yet."""
    return House(tmp_path, upstream)
