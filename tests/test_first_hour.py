"""A newcomer's walk: the tutorial from its first command to its last, then the README's, on one installation."""

import re
import signal
from pathlib import Path
from typing import Final

import pytest

from tests.child_processes import answers, child
from tests.upstream import unused_port
from tests.waiting import wait_until
from tests.walks import PATH, Block, follow, walk

pytestmark = pytest.mark.system

ROOT: Final = Path(__file__).parents[1]
TUTORIAL: Final = (ROOT / "docs" / "tutorial" / "first-hour.md").read_text(encoding="utf-8")
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAM: Final = "llm-metrics-proxy "
_STAYS: Final = (f"{PROGRAM}demo", f"{PROGRAM}serve")  # in the foreground, in a terminal of its own
# Of the README: what installs, what never ends by itself, and what the page about upgrades shows on older records.
_NOT_HERE: Final = re.compile(r"^(?:make|docker|pipx|uvx) |--follow| top$|migrate (?:run|undo)")


def command_of(block: Block, ports: dict[str, int]) -> list[str]:
    """Of a block that stays, with ports that are free here in place of those that it names or leaves out."""
    line = block.text.strip().replace(":8003", f":{ports['demo']}")
    serves = line.startswith(_STAYS[1])
    flags = f"{ports['proxy']} --metrics-port {ports['metrics']} --workers 1" if serves else str(ports["demo"])
    return ["sh", "-c", f"exec {line} --port {flags}"]


def follow_patiently(block: Block, folder: Path, places: dict[str, str]) -> None:
    """A reader is slower than a record is stored; a test asks again."""
    if not block.text.startswith(PROGRAM) or block.says is None:
        follow(block, folder, places)
        return
    said = [""]

    def says() -> bool:
        said[0] = follow(block._replace(says=None), folder, places)
        return re.search(block.says or "", said[0]) is not None

    wait_until(says, lambda: f"{block.text} says {block.says}, not: {said[0]}")


def readme_lines() -> list[str]:
    """Commands of the README that can be run on an installation, one by one."""
    text = "".join(block.text for block in walk(README)).replace("\\\n", " ").replace(".venv/bin/", "")
    lines = [line.partition("  #")[0].strip() for line in text.splitlines()]
    return [line for line in lines if line and not _NOT_HERE.search(line)]


def test_the_first_hour_and_the_readme_work_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", PATH)
    ports = {name: unused_port() for name in ("demo", "proxy", "metrics")}
    places = {"127.0.0.1:8001": f"127.0.0.1:{ports['proxy']}", "127.0.0.1:8002": f"127.0.0.1:{ports['metrics']}"}
    simulated, serve, *blocks = walk(TUTORIAL)
    assert simulated.text.startswith(_STAYS[0])
    assert serve.text.startswith(_STAYS[1])
    stopped = next(index for index, block in enumerate(blocks) if block.text.startswith(f"{PROGRAM}summary"))
    demo_log, serve_log = tmp_path / "demo.log", tmp_path / "serve.log"
    with child(command_of(simulated, ports), demo_log) as demo:
        wait_until(lambda: answers(f"127.0.0.1:{ports['demo']}", "/v1/models"), "demo", process=demo, log=demo_log)
        with child(command_of(serve, ports), serve_log) as process:
            wait_until(lambda: ready(ports), "serve answers", process=process, log=serve_log)
            assert serve.says is not None
            assert re.search(serve.says.replace("8001", str(ports["proxy"])), serve_log.read_text())
            for block in blocks[:stopped]:
                follow_patiently(block, tmp_path, places)
            lines = readme_lines()
            assert len(lines) > 12
            for line in lines:
                follow(Block(line, None), tmp_path, places)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) in {0, 130}, serve_log.read_text()
    for block in blocks[stopped:]:
        follow(block, tmp_path, places)
    assert {"first-hour.parquet", "records.parquet", "report.html", "week.html"} <= {
        path.name for path in tmp_path.iterdir()
    }


def ready(ports: dict[str, int]) -> bool:
    """Both sides of ``serve``."""
    return all(answers(f"127.0.0.1:{ports[name]}", "/ready") for name in ("proxy", "metrics"))
