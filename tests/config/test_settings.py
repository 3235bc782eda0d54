"""Settings: defaults, and rules between settings."""

import pytest
from pydantic import ValidationError

from llm_metrics_proxy.config.settings import CROSS_CHECKS, Settings
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


@pytest.mark.parametrize(
    ("values", "faulty"),
    [
        ({}, None),
        ({"metrics_host": "0.0.0.0"}, "metrics_host"),
        ({"metrics_host": "::"}, "metrics_host"),
        ({"metrics_host": "example.org"}, "metrics_host"),
        ({"metrics_host": "0.0.0.0", "metrics_token": "a-long-token"}, None),
        ({"metrics_host": "0.0.0.0", "insecure": True}, None),
        ({"metrics_host": "127.0.0.9"}, None),
        ({"metrics_host": "[::1]"}, None),
        ({"metrics_host": "localhost"}, None),
        ({"port": 8002}, "metrics_port"),
        ({"port": 0, "metrics_port": 0}, None),
        ({"port": 8002, "host": "127.0.0.2"}, None),
        ({"port": 8002, "host": "0.0.0.0"}, "metrics_port"),
        ({"journal_max_bytes": "1MiB"}, "journal_max_bytes"),
        ({"journal_max_bytes": "1MiB", "journal_segment_bytes": "1MiB"}, None),
    ],
)
def test_contradictions_between_settings_are_refused(values: dict[str, object], faulty: str | None) -> None:
    if faulty is None:
        Settings(**values)  # type: ignore[arg-type]
        return
    with pytest.raises(ValidationError) as caught:
        Settings(**values)  # type: ignore[arg-type]
    assert list(caught.value.errors()[0]["ctx"]["faults"]) == [faulty]


def test_cross_checks_name_settings_that_exist() -> None:
    for check in CROSS_CHECKS:
        assert {check.setting, *check.fields} <= Settings.model_fields.keys()


def test_the_token_does_not_show_in_a_representation() -> None:
    assert "a-long-token" not in repr(Settings(metrics_token="a-long-token"))  # type: ignore[arg-type]
