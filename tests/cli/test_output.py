"""How verbs print."""

import io
import json

import pytest
from rich.console import Console
from rich.progress import TextColumn

from llm_metrics_proxy.cli.output import MISSING, plain, print_json, progress_line


def test_cells_are_neither_markup_nor_commands_to_the_terminal() -> None:
    assert plain(None) == MISSING
    assert plain(0) == "0"
    assert plain("[b]x\x1b\n") == "\\[b]x��"


def test_json_is_a_document_or_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1, None]}, indent=0)
    assert capfd.readouterr().out == '{"a":[1,null]}\n'
    print_json({"a": 1})
    printed = capfd.readouterr().out
    assert printed.count("\n") == 3
    assert json.loads(printed) == {"a": 1}


@pytest.mark.parametrize(("is_terminal", "drawn"), [(True, "half way"), (False, "")])
def test_progress_is_drawn_on_a_terminal_alone(is_terminal: bool, drawn: str) -> None:
    screen = Console(file=io.StringIO(), force_terminal=is_terminal, width=80)
    with progress_line(screen, TextColumn("{task.fields[figures]}"), total=2) as update:
        update(completed=1, figures="half way")
    assert isinstance(screen.file, io.StringIO)
    assert drawn in screen.file.getvalue()
    assert bool(screen.file.getvalue()) == is_terminal
