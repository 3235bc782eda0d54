"""The unit for systemd: the one of contrib/, with the places of this installation."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from llm_metrics_proxy.errors import LlmMetricsProxyError

NAME: Final = "llm-metrics-proxy"
FILE_NAME: Final = f"{NAME}.service"
# In a wheel beside this file; in a checkout where it is kept.
_PLACES: Final = (Path(__file__).with_name(FILE_NAME), Path(__file__).parents[3] / "contrib" / FILE_NAME)
_HOMES: Final = ("/home", "/root", "/run/user")  # what ProtectHome=yes hides


def program() -> Path:
    """The command of this installation."""
    return Path(sys.executable).with_name(NAME)


def systemd_unit(config_file: Path, command: Path, python: Path | None = None) -> str:
    """The unit's text, for a command and a file of settings at these places. Raises ``LlmMetricsProxyError``.

    ``python``: where the interpreter is that the command's environment was made with; by default, this one.
    """
    found = next((place for place in _PLACES if place.is_file()), None)
    if found is None:
        raise LlmMetricsProxyError(f"this installation has no {FILE_NAME}; install it again from a wheel")
    changes = {
        "ExecStart": f"{_quoted(command)} serve --config {_quoted(config_file)} --data-dir %S/{NAME}",
        "EnvironmentFile": f"-{_escaped(config_file.with_name('environment'))}",
    }
    places = (command, config_file, python or Path(sys.base_prefix))
    if any(place.is_relative_to(home) for place in places for home in _HOMES):
        changes["ProtectHome"] = "read-only"  # else the program itself would be hidden from it
    return _with(found.read_text(encoding="utf-8"), changes)


def _with(text: str, changes: Mapping[str, str]) -> str:
    for key, value in changes.items():
        line = re.compile(rf"^{key}=.*$", re.MULTILINE)
        assert line.search(text) is not None, f"the unit has no {key}"
        text = line.sub(lambda _, key=key, value=value: f"{key}={value}", text)  # type: ignore[misc]
    return text


def _escaped(path: Path) -> str:
    """``%`` begins a specifier of systemd."""
    return str(path).replace("%", "%%")


def _quoted(path: Path) -> str:
    text = _escaped(path)
    if not re.search(r"[\s\"'\\$]", text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text).replace("$", "$$") + '"'
