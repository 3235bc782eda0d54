"""From settings to processes."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llm_metrics_proxy.cli import plan
from llm_metrics_proxy.cli.metrics_options import MetricsOptions
from llm_metrics_proxy.cli.metrics_process import migration_options
from llm_metrics_proxy.config.prices import PriceTable
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.sources import Loaded, load
from llm_metrics_proxy.config.table import rows
from llm_metrics_proxy.config.watch import AlertTable, SloTable
from llm_metrics_proxy.demo.options import DemoOptions
from llm_metrics_proxy.errors import LlmMetricsProxyError, SettingsError
from llm_metrics_proxy.migration.options import Options
from llm_metrics_proxy.migration.window import DailyWindow
from llm_metrics_proxy.proxy.options import ProxyOptions
from llm_metrics_proxy.scoreboard import Scoreboard
from llm_metrics_proxy.telemetry import OtlpOptions
from llm_metrics_proxy.watch.rules import About, SloRule


def settings(tmp_path: Path, **values: Any) -> Settings:
    return Settings(**{"data_dir": tmp_path / "data", "port": 0, "metrics_port": 0, "workers": 2, **values})


def loaded(chosen: Settings) -> Loaded:
    return Loaded(chosen, dict.fromkeys(rows(), "flag"), None)


def close(*listeners: plan.Listeners) -> None:
    for each in listeners:
        for group in each.groups:
            for member in group:
                member.close()


def test_each_worker_is_told_its_own_socket_and_slot_and_every_setting(tmp_path: Path) -> None:
    chosen = settings(tmp_path, allow_paths=["/x"], drain_timeout_s=3.0, log_format="json")
    clients, board = plan.listen_for_clients(chosen), Scoreboard.create()
    specs = plan.worker_specs(chosen, "http://b", clients, board)
    told = [msgspec.json.decode(spec.options_json, type=ProxyOptions) for spec in specs]
    assert [options.worker_index for options in told] == [spec.slot for spec in specs] == [0, 1]
    assert told[0].listen_fds != told[1].listen_fds
    for spec, options in zip(specs, told, strict=True):
        assert set(spec.fds) == {*options.listen_fds, board.fd}
        assert spec.stop_timeout_s > options.drain_timeout_s == 3.0
        assert (options.backend, options.allow_paths, options.log_format) == ("http://b", ["/x"], "json")
        assert Path(options.journal_dir).is_absolute()
        assert "\n" not in spec.options_json
        for name in ProxyOptions.__struct_fields__:
            if name not in plan.PROCESS_FIELDS:
                assert getattr(options, name) == getattr(chosen, name)
    close(clients)
    os.close(board.fd)


def test_the_metrics_process_gets_the_token_by_its_standard_input_only(tmp_path: Path) -> None:
    chosen = settings(tmp_path, metrics_token="secret-token")
    readers = plan.listen_for_readers(chosen)
    spec = plan.metrics_spec(loaded(chosen), readers, None)
    options = msgspec.json.decode(spec.options_json, type=MetricsOptions)
    assert (options.metrics_token, options.listen_fds, options.scoreboard_fd) == ("secret-token", readers.fds, None)
    assert options.metrics_host == chosen.metrics_host
    assert "secret-token" not in " ".join(spec.argv)
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
        migration_batch_lock_ms=20,
        migration_window="22:00-06:00",
    )
    readers = plan.listen_for_readers(chosen)
    told = msgspec.json.decode(plan.metrics_spec(loaded(chosen), readers, None).options_json, type=MetricsOptions)
    close(readers)
    assert not told.auto_migrate
    options = migration_options(told)
    assert options == Options(
        backup_dir=chosen.backup_dir.absolute(), backup_keep=7, batch_lock_ms=20, pause_ms=5,
        window=DailyWindow.parse("22:00-06:00"), wait_for_lock=True, automatic=True,
    )  # fmt: skip


def test_telemetry_goes_nowhere_unless_an_endpoint_is_set(tmp_path: Path) -> None:
    assert plan.otlp_options(Settings(data_dir=tmp_path)) is None

    def sent(**values: Any) -> OtlpOptions | None:
        return plan.otlp_options(Settings(data_dir=tmp_path, otlp_endpoint="http://collector:4318/", **values))

    assert sent(otlp_traces=False, otlp_metrics=False) is None
    told = sent(otlp_headers="Authorization=Bearer a=b, x-team = red")
    assert told is not None
    assert (told.endpoint, told.traces, told.metrics) == ("http://collector:4318", True, True)
    assert told.headers == {"authorization": "Bearer a=b", "x-team": "red"}


@pytest.mark.parametrize("headers", ["no pair", "a=", "=b", "a b=c", "a=b\nc=d", "a=b,,c=d"])
def test_headers_that_are_none_are_refused_and_never_shown(headers: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load({"otlp_headers": headers}, {})
    assert refused.value.problems == [
        "otlp_headers = *** (flag --otlp-headers): must be name=value, several separated by commas"
    ]


def test_objectives_and_alerts_are_told_as_rules() -> None:
    slo = SloTable(name="s", objective=0.9, require="response_time_ms < 5", streaming=True)
    assert plan.slo_rules([slo]) == [
        SloRule(name="s", objective=0.9, require="response_time_ms<5", window_s=2_592_000, about=About(streaming=True))
    ]
    values: dict[str, Any] = {"window": "10m", "for_duration": "1m", "resolve_duration": "2m", "tag": "a=b"}
    alert = AlertTable(name="a", metric="error_rate", threshold=0.5, webhook="http://h/", **values)
    (rule,) = plan.alert_rules([alert])
    assert (rule.window_s, rule.for_s, rule.resolve_s, rule.about) == (600, 60, 120, About(tag="a=b"))
    assert (rule.metric, rule.op, rule.threshold, rule.webhook) == ("error_rate", ">", 0.5, "http://h/")


def test_prices_of_a_provider_that_nobody_knows_are_refused() -> None:
    tables = [PriceTable(model="a", provider="openai"), PriceTable(model="b", provider="opneai")]
    assert [row.provider for row in plan.price_rows(tables[:1])] == ["openai"]
    with pytest.raises(SettingsError, match=r"prices\[1\].provider = 'opneai' \(model b\)"):
        plan.price_rows(tables)


def test_processes_stop_in_the_order_in_which_records_flow(tmp_path: Path) -> None:
    chosen, board = settings(tmp_path), Scoreboard.create()
    clients, readers, demo = plan.listen_for_clients(chosen), plan.listen_for_readers(chosen), plan.listen_for_demo()
    simulated = plan.demo_spec(demo, traffic_to=clients.url)
    children = [
        *plan.worker_specs(chosen, demo.url, clients, board),
        plan.metrics_spec(loaded(chosen), readers, board),
        simulated,
    ]
    assert [child.stop_group for child in children] == [0, 0, 1, 2]
    assert msgspec.json.decode(simulated.options_json, type=DemoOptions).traffic_to == clients.url
    whole = plan.assemble(chosen, children, [clients, readers, demo], board)
    assert whole.listen_fds == sorted([*clients.fds, *readers.fds, *demo.fds])
    close(clients, readers, demo)
    os.close(board.fd)


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("localhost", "localhost")]
)
def test_people_are_told_an_address_that_works(tmp_path: Path, host: str, shown: str) -> None:
    clients = plan.listen_for_clients(settings(tmp_path, host=host, workers=1))
    assert clients.url == f"http://{shown}:{clients.groups[0][0].getsockname()[1]}"
    close(clients)


def test_folders_and_secret_are_made(tmp_path: Path) -> None:
    chosen = settings(tmp_path, db_path=tmp_path / "elsewhere" / "m.db")
    plan.prepare_folders(chosen)
    plan.prepare_folders(chosen)
    assert chosen.journal_dir.is_dir()
    assert (tmp_path / "elsewhere").is_dir()
    assert plan.secret_path(chosen).stat().st_size == 32


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(LlmMetricsProxyError, match=r"folder .*/data: cannot be made: File exists"):
        plan.prepare_folders(settings(tmp_path))
