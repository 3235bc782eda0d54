"""What the API is told of migrations."""

from pathlib import Path

from llm_metrics_proxy.api.ports import MigrationPorts
from llm_metrics_proxy.migration.lock import migration_lock
from llm_metrics_proxy.migration.options import Options
from llm_metrics_proxy.migration.service import MigrationService
from llm_metrics_proxy.processes.migration_ports import ServicePorts, known_migrations
from llm_metrics_proxy.safe_migrations import MIGRATIONS


def test_the_service_of_this_process_is_told_in_the_apis_words(tmp_path: Path) -> None:
    service = MigrationService(tmp_path / "m.db", Options(backup_dir=tmp_path / "backups"), migrations=MIGRATIONS)
    ports: MigrationPorts = ServicePorts(service, tmp_path / "m.db", MIGRATIONS, undo_days=30)
    assert ports.progress().phase == "idle"
    assert (ports.run_id(), ports.paused_until(), ports.problem(), ports.lock_holder()) == (None, None, None, None)
    assert not ports.blocks_store()  # nothing is known yet
    assert ports.runs() == []
    with migration_lock(tmp_path / "m.db"):
        assert ports.lock_holder() is not None


def test_every_migration_of_this_program_is_known_with_the_reasons_it_can_give() -> None:
    known = known_migrations(MIGRATIONS)
    assert [(each.version, each.checksum) for each in known] == [(each.version, each.checksum) for each in MIGRATIONS]
    gaps = {each.version: each.gaps for each in known}
    assert gaps["2.0.0"]["no_total_tokens"] == "the record has no total of tokens"
    assert set(gaps["3.0.0"]) == {"error_not_recognised", "error_without_words"}
    assert gaps["4.0.0"]["no_token_times"] == "a stream, and when its tokens came is not known"
