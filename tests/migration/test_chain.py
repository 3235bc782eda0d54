"""The statements of a run: short where no record can be concerned by what would make them long."""

from pathlib import Path

import apsw
import pytest

from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.chain import statements
from llm_metrics_proxy.migration.options import Options
from llm_metrics_proxy.migration.runs import all_runs
from llm_metrics_proxy.migration.sql import RunSql
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from tests import legacy

KEPT_PREPARED_BYTES = 16 * 1024  # by apsw; it compiles longer statements anew each time


def of_its_run(tmp_path: Path, layout: str) -> RunSql:
    path = legacy.make(tmp_path / "metrics.db", layout, 50)
    engine.migrate(path, Options(backup_dir=tmp_path / "backups"), migrations=MIGRATIONS)
    connection = apsw.Connection(str(path))
    try:
        return statements(connection, all_runs(connection)[-1], MIGRATIONS, [APP_VERSION], APP_VERSION)
    finally:
        connection.close()


def test_stamps_that_no_record_had_are_not_asked_for_in_every_batch(tmp_path: Path) -> None:
    sql = of_its_run(tmp_path, "1.1")
    for k, migration in enumerate(MIGRATIONS):
        assert migration.evaluated(migration.distrusted) not in sql.selects(k)
        assert migration.evaluated(migration.distrusted) in sql.missed(k, 1), "verification looks for them still"
        assert len(sql.save_undo(k)) < KEPT_PREPARED_BYTES


@pytest.mark.parametrize("layout", ["2.0", "2.0 all stamped 2.0.0"])
def test_stamps_that_records_claim_are_asked_for(tmp_path: Path, layout: str) -> None:
    sql = of_its_run(tmp_path, layout)
    assert MIGRATIONS[0].distrusted in sql.selects(0)
