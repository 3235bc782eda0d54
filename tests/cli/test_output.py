"""How verbs print."""

import json

import pytest

from llm_metrics_proxy.cli.output import MISSING, plain, print_json


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
