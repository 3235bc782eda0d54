"""Backups of records by ClickHouse's own BACKUP, through the verbs: made, proved, damaged, restored, refused."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from llm_metrics_proxy.engines.clickhouse.store import ClickHouseStore
from llm_metrics_proxy.metrics_service import to_row
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.store_address import StoreAccess, store_address
from tests.clickhouse.server import ClickHouseServer, statement
from tests.journal_parts import an_ended_record
from tests.waiting import wait_until

pytestmark = pytest.mark.system
_PROGRAM: Final = Path(sys.executable).with_name("llm-metrics-proxy")


class Place:
    """A data folder whose records are in ClickHouse, and its verbs."""

    def __init__(self, folder: Path, server: ClickHouseServer, url: str) -> None:
        self.folder, self.server, self.url = folder, server, url
        self.database = url.rsplit("/", 1)[1]

    def record(self, first: int, last: int, retention_days: int = 0) -> None:
        address = store_address(self.url)
        assert address is not None
        store = ClickHouseStore(
            self.folder / "metrics.db", StoreAccess(address), host="here", retention_days=retention_days
        )
        store.positions()
        store.append(IngestBatch(rows=[to_row(an_ended_record(index)) for index in range(first, last + 1)]))
        wait_until(lambda: store.shipping().waiting_records == 0, "they are sent", 30)
        store.close()

    def count(self, table: str = "completion_requests") -> int:
        return int(statement(self.server, f"SELECT count() FROM {self.database}.{table}"))

    def tables(self) -> set[str]:
        return set(statement(self.server, f"SHOW TABLES FROM {self.database}").split())

    def backup(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        where = ("--data-dir", str(self.folder), "--store", self.url)
        command = (str(_PROGRAM), "backup", *arguments, *where)
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def made(self) -> dict[str, Any]:
        done = self.backup("create", "--store-backup", f"file:{self.database}", "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture
def place(tmp_path: Path, clickhouse: ClickHouseServer, clickhouse_url: str) -> Place:
    return Place(tmp_path, clickhouse, clickhouse_url)


def test_a_backup_is_proved_and_brings_back_what_was_there(place: Place) -> None:
    place.record(1, 40)
    made = place.made()
    assert made["store_backup"]["records"] == 40
    assert not [table for table in place.tables() if table.startswith("backup_check_")]
    place.record(41, 50)
    assert place.backup("verify", made["name"]).returncode == 0
    done = place.backup("restore", made["name"], "--json")
    assert done.returncode == 0, done.stderr
    before = json.loads(done.stdout)["records_table_before"]
    assert (place.count(), place.count(before)) == (40, 50)
    place.record(51, 52)  # numbers go on, and the restored table takes records
    assert place.count() == 42


def test_what_retention_deletes_is_in_the_backup_and_is_no_fault(place: Place) -> None:
    place.record(1, 20)
    made = place.made()
    place.record(21, 25, retention_days=1)  # all of them are older
    statement(place.server, f"OPTIMIZE TABLE {place.database}.completion_requests FINAL")
    assert place.count() == 0
    assert place.backup("verify", made["name"]).returncode == 0
    assert place.made()["store_backup"]["records"] == 0


def test_a_backup_that_is_gone_or_not_allowed_is_told(place: Place) -> None:
    place.record(1, 5)
    made = place.made()
    shutil.rmtree(place.server.folder / "backups" / place.database)
    lost = place.backup("verify", made["name"])
    assert lost.returncode == 1
    assert "was removed from there" in lost.stdout
    refused = place.backup("restore", made["name"])
    assert refused.returncode == 1
    assert place.count() == 5
    for where, words in (("disk:elsewhere", "backups.allowed_disk"), ("file:/etc", "backups.allowed_path")):
        done = place.backup("create", "--store-backup", where)
        assert done.returncode == 1
        assert words in done.stderr
    alone = place.backup("create")
    assert alone.returncode == 0
    assert "This is the control store alone" in alone.stderr
