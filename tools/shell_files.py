"""Writes the completion scripts and the manual page that packages bring: ``python -m tools.shell_files``."""

from pathlib import Path
from typing import Final

from typer.main import get_command

from llm_metrics_proxy.cli.app import application
from llm_metrics_proxy.cli.completion import SCRIPTS, Shell
from llm_metrics_proxy.cli.shells.man_page import page
from llm_metrics_proxy.cli.shells.tree import CommandLine
from llm_metrics_proxy.metrics_service import APP_VERSION

FOLDER: Final = Path(__file__).parents[1] / "contrib" / "shell"
NAMES: Final = {
    Shell.BASH: "llm-metrics-proxy.bash",
    Shell.ZSH: "_llm-metrics-proxy",
    Shell.FISH: "llm-metrics-proxy.fish",
}
MAN_PAGE: Final = "llm-metrics-proxy.1"


def contents() -> dict[str, str]:
    """What each file has to hold, by name."""
    line = CommandLine(get_command(application()))
    files = {NAMES[shell]: script(line) for shell, script in SCRIPTS.items()}
    return {**files, MAN_PAGE: page(line, APP_VERSION)}


def main() -> None:
    """Write them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in contents().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
