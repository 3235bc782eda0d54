"""Pages whose commands are run, in order, as a reader would: every ``sh`` block, and what its output has to say.

``<!-- says: PATTERN -->`` after a block is a regular expression that its output must have.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

_BLOCK: Final = re.compile(
    r"^```(?P<language>\w+)\n(?P<text>.*?)^```$(?:\n\n<!-- says: (?P<says>.*?) -->$)?", re.MULTILINE | re.DOTALL
)
PATH: Final = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # with the program


class Block(NamedTuple):
    """Commands or code of a page, and what has to come out."""

    text: str
    says: str | None


def walk(page: str, language: str = "sh") -> list[Block]:
    """The blocks of a page that are run, in order."""
    return [Block(found["text"], found["says"]) for found in _BLOCK.finditer(page) if found["language"] == language]


def follow(block: Block, folder: Path, places: Mapping[str, str], **environment: str) -> str:
    """Run a block in ``folder`` as a shell does; what it says. ``places``: addresses of the page, and the real ones."""
    text = block.text
    for written, real in places.items():
        text = text.replace(written, real)
    given = {name: value for name, value in os.environ.items() if not name.startswith("LLM_METRICS_PROXY_")}
    done = subprocess.run(
        ["sh", "-euc", text], cwd=folder, env={**given, "PATH": PATH, **environment}, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=120, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"{text}\nended with {done.returncode}:\n{said}"
    if block.says is not None:
        assert re.search(block.says, said), f"{text}\nsays nothing like {block.says}:\n{said}"
    return said
