"""``completion``: the script that teaches a shell this command line."""

import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Final

import typer

from llm_metrics_proxy.cli.shells import bash, fish, zsh
from llm_metrics_proxy.cli.shells.tree import CommandLine


class Shell(StrEnum):
    """The shells that can be taught."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


SCRIPTS: Final[dict[Shell, Callable[[CommandLine], str]]] = {
    Shell.BASH: bash.script,
    Shell.ZSH: zsh.script,
    Shell.FISH: fish.script,
}


def completion(
    context: typer.Context, shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.", metavar="SHELL")]
) -> None:
    """Print the script that completes verbs, flags and values when you press Tab.

    bash: eval "$(llm-metrics-proxy completion bash)" in ~/.bashrc. zsh: the same after compinit in ~/.zshrc. fish:
    llm-metrics-proxy completion fish | source. The package brings the three files too, for shells that look in its
    share folder.
    """
    sys.stdout.write(SCRIPTS[shell](CommandLine(context.find_root().command)))
