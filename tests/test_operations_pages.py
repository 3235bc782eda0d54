"""What the pages about running it show works as it stands there, and their tables are those of the program."""

import re
import shlex
from pathlib import Path

import pytest

from llm_metrics_proxy.cli.app import run
from llm_metrics_proxy.cli.init import Reach
from llm_metrics_proxy.cli.support.known import NEWEST_RECORDS
from llm_metrics_proxy.cli.support.parts import PARTS
from llm_metrics_proxy.processes import discovery

HOWTO = Path(__file__).parents[1] / "docs" / "howto"
PAGES = {
    name: (HOWTO / f"{name}.md").read_text(encoding="utf-8") for name in ("set-up", "ask-for-help", "check-an-upgrade")
}
PROGRAM = "llm-metrics-proxy "
ASKS = 2  # the exit code of `init` without a terminal


@pytest.mark.parametrize("page", PAGES)
def test_every_command_does_what_it_says(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(discovery, "CANDIDATES", ())
    blocks = re.findall(r"```sh\n(.*?)```", PAGES[page], re.DOTALL)
    assert blocks
    for line in "".join(blocks).splitlines():
        words = shlex.split(line.removeprefix(PROGRAM).partition(" > ")[0])
        assert run(words) == (ASKS if words == ["init"] else 0), line


def test_the_tables_are_those_of_the_program() -> None:
    for each in Reach:
        assert f"| `{each.value}` |" in PAGES["set-up"]
    for part in PARTS:
        assert f"`{part.name}`" in PAGES["ask-for-help"]
    assert f"the newest {NEWEST_RECORDS:,} records" in PAGES["ask-for-help"]
