"""From settings to processes."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.config.table import rows, values_of
from llm_metrics_proxy.config.values import SettingValues
from llm_metrics_proxy.demo.options import DemoOptions
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.migration.options import Options
from llm_metrics_proxy.migration.window import DailyWindow
from llm_metrics_proxy.processes import launch
from llm_metrics_proxy.processes.metrics_options import MetricsOptions
from llm_metrics_proxy.processes.migration_ports import migration_options
from llm_metrics_proxy.processes.secret_file import secret_path
from llm_metrics_proxy.proxy.options import ProxyOptions
from llm_metrics_proxy.scoreboard import Scoreboard


def settings(tmp_path: Path, **values: Any) -> Settings:
    return Settings(**{"data_dir": tmp_path / "data", "port": 0, "metrics_port": 0, "workers": 2, **values})


def loaded(chosen: Settings) -> Loaded:
    return Loaded(chosen, dict.fromkeys(rows(), "flag"), None)


def close(*listeners: launch.PortSockets) -> None:
    for each in listeners:
        for group in each.groups:
            for member in group:
                member.close()


def test_each_worker_is_told_its_own_socket_and_slot_and_every_setting(tmp_path: Path) -> None:
    chosen = settings(tmp_path, allow_paths=["/x"], drain_timeout_s=3.0, log_format="json")
    clients, board = launch.listen_for_clients(chosen), Scoreboard.create()
    specs = launch.worker_specs(loaded(chosen), "http://b", clients, board)
    told = [msgspec.json.decode(spec.options_json, type=ProxyOptions) for spec in specs]
    assert [options.worker_index for options in told] == [spec.slot for spec in specs] == [0, 1]
    assert told[0].listen_fds != told[1].listen_fds
    for spec, options in zip(specs, told, strict=True):
        assert set(spec.fds) == {*options.listen_fds, board.fd}
        assert spec.stop_timeout_s > options.drain_timeout_s == 3.0
        assert (options.backend, options.allow_paths, options.log_format) == ("http://b", ["/x"], "json")
        assert Path(options.journal_dir).is_absolute()
        assert "\n" not in spec.options_json
        own = {"backend": "http://b"}
        assert {name: getattr(options, name) for name in SettingValues.__struct_fields__} == values_of(chosen) | own
    close(clients)
    os.close(board.fd)


def test_the_metrics_process_gets_the_token_by_its_standard_input_only(tmp_path: Path) -> None:
    chosen = settings(tmp_path, metrics_token="secret-token")
    readers = launch.listen_for_readers(chosen)
    spec = launch.metrics_spec(loaded(chosen), readers, None)
    options = msgspec.json.decode(spec.options_json, type=MetricsOptions)
    assert (options.metrics_token, options.listen_fds, options.scoreboard_fd) == ("secret-token", readers.fds, None)
    assert options.metrics_host == chosen.metrics_host
    assert "secret-token" not in spec.module
    assert spec.without_it is not None
    shown = {row["name"]: row["value"] for row in options.settings}
    assert (shown["metrics_token"], shown["metrics_port"]) == ("***", str(chosen.metrics_port))
    close(readers)


def test_the_metrics_process_is_told_how_to_migrate(tmp_path: Path) -> None:
    chosen = settings(
        tmp_path,
        auto_migrate=False,
        backup_keep=7,
        migration_pause_ms=5,
        migration_undo_days=90,
        migration_batch_lock_ms=20,
        migration_window="22:00-06:00",
    )
    readers = launch.listen_for_readers(chosen)
    told = msgspec.json.decode(launch.metrics_spec(loaded(chosen), readers, None).options_json, type=MetricsOptions)
    close(readers)
    assert not told.auto_migrate
    options = migration_options(told)
    assert options == Options(
        backup_dir=chosen.backup_dir.absolute(), backup_keep=7, batch_lock_ms=20, pause_ms=5, undo_days=90,
        window=DailyWindow.parse("22:00-06:00"), wait_for_lock=True, automatic=True,
    )  # fmt: skip


def test_processes_stop_in_the_order_in_which_records_flow(tmp_path: Path) -> None:
    chosen, board = settings(tmp_path), Scoreboard.create()
    clients, readers = launch.listen_for_clients(chosen), launch.listen_for_readers(chosen)
    demo = launch.listen_for_demo()
    simulated = launch.demo_spec(demo, chosen, traffic_to=clients.url)
    children = [
        *launch.worker_specs(loaded(chosen), demo.url, clients, board),
        launch.metrics_spec(loaded(chosen), readers, board),
        simulated,
    ]
    assert [child.stop_group for child in children] == [0, 0, 1, 2]
    assert msgspec.json.decode(simulated.options_json, type=DemoOptions).traffic_to == clients.url
    whole = launch.launch_plan(loaded(chosen), children, [clients, readers, demo], board)
    assert whole.reload is None
    assert whole.listen_fds == sorted([*clients.fds, *readers.fds, *demo.fds])
    close(clients, readers, demo)
    os.close(board.fd)


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("localhost", "localhost")]
)
def test_people_are_told_an_address_that_works(tmp_path: Path, host: str, shown: str) -> None:
    clients = launch.listen_for_clients(settings(tmp_path, host=host, workers=1))
    assert clients.url == f"http://{shown}:{clients.groups[0][0].getsockname()[1]}"
    close(clients)


def test_folders_and_secret_are_made(tmp_path: Path) -> None:
    chosen = settings(tmp_path, db_path=tmp_path / "elsewhere" / "m.db")
    launch.prepare_folders(chosen)
    launch.prepare_folders(chosen)
    assert chosen.journal_dir.is_dir()
    assert (tmp_path / "elsewhere").is_dir()
    assert secret_path(chosen).stat().st_size == 32


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(LlmMetricsProxyError, match=r"folder .*/data: cannot be made: File exists"):
        launch.prepare_folders(settings(tmp_path))
