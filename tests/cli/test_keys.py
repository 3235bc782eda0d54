import sys
from pathlib import Path

import pytest

from tests.pty_session import Terminal

CODE = """
import sys
from llm_metrics_proxy.cli.keys import quit_key
with quit_key() as pressed:
    print("waiting", flush=True)
    print("left" if pressed(60) else "stayed", flush=True)
"""


@pytest.mark.system
@pytest.mark.parametrize("key", ["q", "Q", "\x04", "\x03"])
def test_a_key_ends_the_wait_without_enter_and_is_not_shown(tmp_path: Path, key: str) -> None:
    with Terminal([sys.executable, "-c", CODE], tmp_path) as terminal:
        terminal.wait_for("waiting")
        terminal.type(f"xyz{key}")
        assert terminal.wait() == 0
        assert (
            "".join(terminal.said.split()) == "waitingleft"
        )  # Ctrl-C takes an end of line along that waits for its way
        assert terminal.settings() == terminal.before


@pytest.mark.system
def test_ctrl_c_is_not_lost_where_python_can_raise_nothing(tmp_path: Path) -> None:
    """An exception out of a finaliser is printed and forgotten."""
    code = """
import os, signal
from llm_metrics_proxy.cli.keys import quit_key
class Ends:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
with quit_key() as pressed:
    Ends()
    print("left" if pressed(60) else "stayed", flush=True)
    signal.raise_signal(signal.SIGINT)
"""
    with Terminal([sys.executable, "-c", code], tmp_path) as terminal:
        assert terminal.wait() != 0  # the second one
        assert terminal.said.split()[0] == "left"
        assert "KeyboardInterrupt" in terminal.said


@pytest.mark.system
def test_without_a_key_or_a_terminal_the_time_passes(tmp_path: Path) -> None:
    shorter = CODE.replace("60", "0.01")
    with Terminal([sys.executable, "-c", shorter], tmp_path) as terminal:
        assert terminal.wait() == 0
        assert terminal.said.split() == ["waiting", "stayed"]
    with Terminal(["sh", "-c", f"exec {sys.executable} -c '{shorter}' < /dev/null"], tmp_path) as terminal:
        assert terminal.wait() == 0
        assert terminal.said.split() == ["waiting", "stayed"]
