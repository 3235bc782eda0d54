"""Settings: defaults, and what nobody can change."""

import pytest
from pydantic import ValidationError

from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.machine import memory_bytes


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1


def test_the_environment_is_not_read_behind_the_callers_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_METRICS_PROXY_PORT", "9")
    assert Settings().port == 8001


def test_the_room_for_bodies_is_a_share_of_the_memory() -> None:
    for workers in (1, 2):
        assert Settings(workers=workers).max_buffered_bytes == memory_bytes() // 4 // workers
    assert Settings(workers=256).max_buffered_bytes >= 16 * 1024**2


def test_database_and_journal_follow_the_data_folder() -> None:
    settings = Settings(data_dir="/srv/proxy")  # type: ignore[arg-type]
    assert str(settings.db_path) == "/srv/proxy/metrics.db"
    assert str(settings.journal_dir) == "/srv/proxy/journal"
    assert str(settings.backup_dir) == "/srv/proxy/backups"
    assert str(Settings(data_dir="/srv/proxy", db_path="/fast/m.db").db_path) == "/fast/m.db"  # type: ignore[arg-type]


def test_the_token_does_not_show_in_a_representation() -> None:
    assert "a-long-token" not in repr(Settings(metrics_token="a-long-token"))  # type: ignore[arg-type]
