"""Who lacks a part of the package reads its name and the command, from settings, from a verb and from the API.

In an environment that really lacks them: `tests/browser/test_package.py`.
"""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pytest

from llm_metrics_proxy import extras
from llm_metrics_proxy.cli.app import run
from llm_metrics_proxy.config.sources import load
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.errors import MissingExtraError, SettingsError
from llm_metrics_proxy.store_address import StoreAccess, store_address
from tests.analytics.database import Database
from tests.api.service import client

PROJECT: Final = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SERVER: Final = "clickhouse://metrics@clickhouse.example/llm"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nothing of any extra were installed."""
    monkeypatch.setattr(extras, "EXTRAS", MappingProxyType({name: f"no-{name}-here" for name in extras.EXTRAS}))


def test_extras_are_those_of_the_package_and_what_tells_of_one_belongs_to_it() -> None:
    offered = PROJECT["optional-dependencies"]
    assert offered.keys() == {*extras.EXTRAS, "all", "dev"}
    for extra, distribution in extras.EXTRAS.items():
        assert distribution in {re.split(r"[<>=]", each)[0] for each in offered[extra]}
        assert version(distribution)
        extras.need(extra, "This")
    (everything,) = offered["all"]
    assert set(re.findall(r"\w+", everything.partition("[")[2])) == extras.EXTRAS.keys()


def test_the_page_of_installation_has_each_extra() -> None:
    page = (Path(__file__).parents[1] / "docs" / "howto" / "install.md").read_text(encoding="utf-8")
    table = page.partition("| extra | for | brings |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == {*extras.EXTRAS, "all"}


def test_the_page_of_notebooks_installs_what_its_tables_need() -> None:
    page = (Path(__file__).parents[1] / "docs" / "howto" / "notebooks.md").read_text(encoding="utf-8")
    assert "pip install 'llm-metrics-proxy[parquet]'" in page


def test_a_setting_that_needs_one_is_refused_with_its_origin_before_anything_starts(bare: None) -> None:
    variable = "LLM_METRICS_PROXY_OTLP_ENDPOINT"
    with pytest.raises(SettingsError) as refused:
        load({"store": SERVER}, {variable: "http://127.0.0.1:4318"})
    lacking = "it needs the package no-{0}-here, which is not installed: pip install 'llm-metrics-proxy[{0}]'"
    assert refused.value.problems == [
        f"store = '{SERVER}' (flag --store): {lacking.format('clickhouse')}",
        f"otlp_endpoint = 'http://127.0.0.1:4318' (environment {variable}): {lacking.format('otlp')}",
    ]
    assert load({}, {}).settings.store == "sqlite"


def test_a_server_that_is_no_setting_needs_it_too(bare: None) -> None:
    address = store_address(SERVER)
    assert address is not None
    with pytest.raises(MissingExtraError, match=r"pip install 'llm-metrics-proxy\[clickhouse\]'"):
        Connection(StoreAccess(address))


def test_a_verb_says_it_in_one_line(
    bare: None, database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "records.parquet"
    assert run(["export", "--db-path", str(database.path), "--output", str(file)]) == MissingExtraError.exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "llm-metrics-proxy: Parquet needs the package no-parquet-here, which is not installed: "
        "pip install 'llm-metrics-proxy[parquet]'"
    )
    assert not file.exists()


def test_the_api_says_it_before_it_sends_anything(bare: None, database: Database) -> None:
    answer = client(database).get("/api/v1/export?format=parquet")
    assert (answer.status_code, answer.json()["error"]["type"]) == (501, "not_installed")
    assert "llm-metrics-proxy[parquet]" in answer.json()["error"]["message"]
    assert client(database).get("/api/v1/export?format=csv").status_code == 200
