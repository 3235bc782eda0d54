"""Rows of the settings table as flags."""

import inspect

import pytest

from llm_metrics_proxy.cli.flags import with_settings
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.config.table import rows
from tests.cli.conftest import Cli


def test_every_setting_has_its_flag_in_the_help_of_serve(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    out = cli("serve", "--help").out
    for row in rows().values():
        assert (f"{row.flag} " in out) is not (row.toml_only or row.no_flag), row.flag


def test_a_verb_gets_its_settings_and_only_what_was_given_counts_as_a_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_METRICS_PROXY_PORT", "9")
    seen: list[Loaded] = []

    @with_settings("port", "insecure", "allow_paths")
    def verb(loaded: Loaded, *, word: str = "x") -> None:
        """Help."""
        assert word == "y"
        seen.append(loaded)

    verb(config=None, port=None, insecure=False, allow_paths=[], word="y")
    verb(config=None, port="7", insecure=None, allow_paths=["/a"], word="y")
    assert [loaded.settings.port for loaded in seen] == [9, 7]
    assert [loaded.origins["insecure"] for loaded in seen] == ["flag --insecure", "default"]
    assert [loaded.origins["allow_paths"] for loaded in seen] == ["default", "flag --allow-paths"]
    assert list(inspect.signature(verb).parameters) == ["word", "config", "port", "insecure", "allow_paths"]
    assert verb.__doc__ == "Help."
