"""``version``."""

import json

import apsw

from llm_metrics_proxy.metrics_service import APP_VERSION
from tests.cli.conftest import Cli


def test_it_names_the_program_and_what_it_stands_on(cli: Cli) -> None:
    document = json.loads(cli("version", "--json").out)
    assert list(document) == ["app_version", "python", "sqlite", "uvloop", "httptools", "platform"]
    assert document["app_version"] == APP_VERSION
    assert document["sqlite"] == apsw.sqlite_lib_version()
    lines = cli("version").out.splitlines()
    assert lines[0].split() == ["app_version", APP_VERSION]
    assert len(lines) == len(document)
