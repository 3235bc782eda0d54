"""Log lines for people and for collectors."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from llm_metrics_proxy import logs


@pytest.fixture(autouse=True)
def untouched_root() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], level = before
    root.setLevel(level)


def test_a_text_line_says_when_how_grave_and_who(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("info", "text", "worker-0")
    logging.getLogger("x").debug("not shown")
    logging.getLogger("x").warning("journal %s", "full")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning worker-0: journal full\n", capsys.readouterr().err
    )


def test_what_strangers_send_cannot_forge_a_line_or_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("info", "text", "p")
    logging.getLogger("x").error("bad\r\n2026 info p: all is well\x1b[2J")
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "\x1b" not in line
    assert "\r" not in line


def test_a_json_line_is_one_object_with_the_traceback_inside(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("debug", "json", "metrics")
    try:
        raise ValueError("väl\nue")
    except ValueError:
        logging.getLogger("llm.x").exception("broken")
    captured = capsys.readouterr().err
    assert captured.count("\n") == 1
    line = json.loads(captured)
    assert (line["level"], line["process"], line["logger"], line["message"]) == ("error", "metrics", "llm.x", "broken")
    assert "ValueError: väl\nue" in line["exception"]


FAULTS = """
import asyncio, logging, threading, warnings
from llm_metrics_proxy import logs
logs.setup("info", "json", "p")
class Fragile:
    def __del__(self):
        raise ValueError("ignored\\nbut told")
def fail():
    raise ValueError("väl\\nue")
async def task():
    asyncio.get_running_loop().call_soon(fail)
    await asyncio.sleep(0.01)
logging.getLogger("x").info("started", extra={logs.FIELDS: {"url": "http://ü", "level": "no"}})
thread = threading.Thread(target=fail, name="helper")
thread.start()
thread.join()
warnings.warn("odd", stacklevel=1)
asyncio.run(task())
del [Fragile()][0]
fail()
"""


def test_whatever_python_says_itself_is_a_line_of_json_too() -> None:
    """Also where the terminal is not UTF-8."""
    environment = {"PYTHONPATH": ":".join(sys.path), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", FAULTS], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [re.sub(r"(?s):.*|(?<=0x).*", "", line["message"]) for line in lines] == [
        "started",
        "the thread helper ends by a fault that nobody foresaw",
        "<string>",
        "Exception in callback fail() at <string>",
        "an exception was ignored in <function Fragile.__del__ at 0x",
        "this process ends by a fault that nobody foresaw",
    ]
    assert (lines[0]["url"], lines[0]["level"]) == ("http://ü", "info")
    assert all("väl\nue" in lines[number]["exception"] for number in (1, 3, 5))


def test_a_text_traceback_follows_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("debug", "text", "p")
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("x").exception("broken")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("error p: broken")
    assert lines[-1] == "ValueError: why"


def test_stamps_are_utc_with_milliseconds() -> None:
    assert logs.utc_stamp(0.0019) == "1970-01-01T00:00:00.001Z"
    assert logs.utc_stamp(1_700_000_000.9999) == "2023-11-14T22:13:20.999Z"
