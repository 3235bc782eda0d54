"""The wheel, installed from nothing in each way that a person would choose, to the first chart, with the time it took.

    python -m tools.try_wheel dist/5.2.0/llm_metrics_proxy-….whl --python 3.11 --python /usr/bin/python3.13

`pip`, `pipx` and `uvx` with nothing in their caches; then with every extra, in an environment of each Python named,
whose libraries are those of requirements.lock.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.child_processes import child
from tests.waiting import wait_until

from tools.first_chart import Addresses, announced, first_chart

ROOT: Final = Path(__file__).parents[1]
_PROGRAM: Final = "llm-metrics-proxy"
_SERVE: Final = ("serve", "--backend", "demo", "--no-demo-traffic", "--port", "0", "--metrics-port", "0")


def say(text: str) -> None:
    """One line of what was shown, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def run(*command: str | Path, folder: Path) -> None:
    """A step of an installation; it must end well."""
    done = subprocess.run(command, cwd=folder, env=_environment(folder), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


def _environment(folder: Path) -> dict[str, str]:
    """A home and caches of its own: nothing that was downloaded before is there."""
    own = {"HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache"), "XDG_DATA_HOME": str(folder / "share")}
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("LLM_METRICS_PROXY_", "PYTHON"))}
    return {
        **bare,
        **own,
        "UV_CACHE_DIR": str(folder / "cache/uv"),
        "UV_LINK_MODE": "copy",
        "PIPX_HOME": str(folder / "pipx"),
    }


def to_first_chart(command: list[str | Path], folder: Path, began: float) -> float:
    """Start what was installed, and stop it when it has drawn; seconds since ``began``."""
    log = folder / "serve.log"
    whole = [str(word) for word in (*command, *_SERVE, "--data-dir", folder / "data")]
    with child(whole, log, environment=_environment(folder)) as process:
        found: list[Addresses] = []

        def there() -> bool:
            found[:] = [each for each in (announced(log),) if each]
            return bool(found)

        wait_until(there, "the start block", 900, process=process, log=log)  # uvx installs before it starts
        first_chart(found[0], log)
        took_s = time.monotonic() - began
    assert process.returncode == 0, log.read_text()
    return took_s


def by_pip(wheel: Path, folder: Path) -> list[str | Path]:
    """Into a virtual environment."""
    run(sys.executable, "-m", "venv", folder / "venv", folder=folder)
    run(folder / "venv/bin/pip", "install", "--quiet", wheel, folder=folder)
    return [folder / "venv/bin" / _PROGRAM]


def by_pipx(wheel: Path, folder: Path) -> list[str | Path]:
    """As a program of its own."""
    run("pipx", "install", wheel, folder=folder)
    return [folder / ".local/bin" / _PROGRAM]


def by_uvx(wheel: Path, folder: Path) -> list[str | Path]:
    """Without installing it."""
    del folder
    return ["uvx", "--python", sys.executable, "--from", wheel, "llmmp"]


WAYS: Final = {"pip": by_pip, "pipx": by_pipx, "uvx": by_uvx}


def with_every_extra(wheel: Path, python: str, folder: Path) -> list[str | Path]:
    """The locked libraries in an environment of this Python; `pip check` finds nothing missing."""
    locked = re.findall(r"(?m)^[a-z0-9-]+==[^\\\n]+", (ROOT / "requirements.lock").read_text(encoding="utf-8"))
    (folder / "constraints.txt").write_text("\n".join(locked))
    run("uv", "venv", "--quiet", "--python", python, folder / "venv", folder=folder)
    interpreter = folder / "venv/bin/python"
    install = ("uv", "pip", "install", "--quiet", "--python", interpreter)
    run(
        *install,
        "--constraint",
        folder / "constraints.txt",
        f"llm-metrics-proxy[all] @ {wheel.as_uri()}",
        folder=folder,
    )
    run("uv", "pip", "check", "--python", interpreter, folder=folder)
    return [interpreter, "-m", "llm_metrics_proxy"]


def main() -> None:
    """Try every way; the exit code is 0 if each of them led to a chart."""
    parser = argparse.ArgumentParser(description="Install the wheel in every way, and wait for the first chart.")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--python", action="append", default=[], help="an interpreter to try with every extra")
    parser.add_argument("--way", action="append", choices=WAYS, help="only these of the ways")
    given = parser.parse_args()
    wheel = given.wheel.resolve()
    for name in given.way or WAYS:
        if name != "pip" and shutil.which(name) is None:
            sys.exit(f"{name} is not installed")
        with tempfile.TemporaryDirectory(prefix="llmmp-") as folder:
            began = time.monotonic()
            command = WAYS[name](wheel, Path(folder))
            say(f"{name}: first chart after {to_first_chart(command, Path(folder), began):.0f} s")
    for python in given.python:
        with tempfile.TemporaryDirectory(prefix="llmmp-") as folder:
            began = time.monotonic()
            command = with_every_extra(wheel, python, Path(folder))
            said = subprocess.run([command[0], "--version"], capture_output=True, text=True, check=True).stdout.strip()
            say(f"{said}, every extra: first chart after {to_first_chart(command, Path(folder), began):.0f} s")


if __name__ == "__main__":
    main()
