import logging
import os
import sys
import threading
from collections.abc import Iterator

import pytest
from xdist.remote import Producer

from tests.examples import load_profile
from tests.sharing import Files, long_first

load_profile()
# Processes that share the tests out have them set, readline sets them where Python does not see it: verbs would obey.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)
    os.unsetenv(name)


@pytest.hookimpl(trylast=True)  # other folders mark their tests first
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items[:] = long_first(items)


@pytest.hookimpl(optionalhook=True)  # without xdist there is nothing to share
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Files:
    return Files(config, log)


@pytest.fixture(autouse=True)
def root_logger_restored() -> Iterator[None]:
    """A verb that runs in this process sets the root logger up; the next test finds it as it was."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    yield
    logging.captureWarnings(capture=False)
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    root.setLevel(level)
    root.handlers[:] = handlers
