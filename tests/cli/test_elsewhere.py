"""Verbs about the database file, where records are in a store on the network."""

import json
from pathlib import Path

import pytest

from llm_metrics_proxy.cli.finding import CheckStatus
from llm_metrics_proxy.cli.rollup_checks import rollups
from llm_metrics_proxy.config.settings import Settings
from tests.cli.conftest import Cli

AWAY = ("--store", "clickhouse+http://me@127.0.0.1:1/metrics")
SAID = "This is the control store alone. The records are in clickhouse+http://me@127.0.0.1:1/metrics: "


@pytest.mark.usefixtures("store")
def test_a_backup_says_that_it_has_no_records(cli: Cli, tmp_path: Path) -> None:
    ran = cli("backup", "create", "--json", *AWAY)
    assert ran.code == 0
    assert ran.err.startswith(f"{SAID}--store-backup lets that server back them up too")
    name = json.loads(ran.out)["name"]
    assert SAID in cli("backup", "restore", name, *AWAY).err
    assert SAID not in cli("backup", "create").err


@pytest.mark.usefixtures("store")
def test_compacting_says_that_it_is_not_about_the_records(cli: Cli) -> None:
    ran = cli("compact", "--no-backup", *AWAY)
    assert f"{SAID}that server gives the room" in ran.err


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("flags", [("--since", "1970-01-01"), ("--undo", "1")])
def test_repricing_says_that_the_server_is_away(cli: Cli, flags: tuple[str, ...]) -> None:
    ran = cli("reprice", *flags, *AWAY)
    assert ran.code == 1
    assert "cannot be reached: Connection refused" in ran.err


def test_a_proxy_whose_records_nobody_would_store_is_refused(cli: Cli) -> None:
    ran = cli("serve", "--metrics-role", "read", *AWAY)
    assert (ran.code, ran.out) == (2, "")
    assert "nobody would store what this proxy records" in ran.err


def test_there_are_no_roll_ups_to_compare(tmp_path: Path) -> None:
    found = rollups(Settings(db_path=tmp_path / "m.db", store=AWAY[1]))
    assert (found.status, found.found) == (CheckStatus.OK, "none: the store that has the records answers without")
