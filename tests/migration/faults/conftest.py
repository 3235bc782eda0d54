"""One nursery for the folder, and a place in memory: SIGKILL leaves what the kernel has, on any file system."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.migration.faults.nursery import Nursery
from tests.migration.faults.trials import Trials


@pytest.fixture(scope="package")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(prefix="faults-", dir=memory if os.access(memory, os.W_OK) else None))
    place.chmod(0o755)
    try:
        with Nursery(tmp_path_factory.mktemp("nursery") / "log") as nursery:
            yield Trials(nursery, place)
    finally:
        shutil.rmtree(place)
