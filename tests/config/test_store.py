import os
from pathlib import Path

import pytest

from llm_metrics_proxy.config.sources import load, settings_table
from llm_metrics_proxy.config.store_access import store_access
from llm_metrics_proxy.config.table import rows
from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.processes.options import metrics_options
from llm_metrics_proxy.store_address import StoreAddress, store_address

SECRET = "s3cret:/@?#"


def problem(**flags: str) -> str:
    with pytest.raises(SettingsError) as caught:
        store_access(load(flags, {}).settings)
    return str(caught.value)


def test_records_are_in_the_database_file_unless_a_server_is_named() -> None:
    assert store_access(load({}, {}).settings) is None
    assert store_access(load({"store": "SQLite"}, {}).settings) is None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("clickhouse://me@ch.example/db", StoreAddress("ch.example", 8443, "me", "db", is_tls=True)),
        ("clickhouse://me@ch.example:8123/db", StoreAddress("ch.example", 8123, "me", "db", is_tls=True)),
        ("clickhouse://localhost:8123/db", StoreAddress("localhost", 8123, "default", "db", is_tls=False)),
        ("clickhouse://me@127.0.0.1:8443/db", StoreAddress("127.0.0.1", 8443, "me", "db", is_tls=True)),
        ("clickhouse+http://me@10.0.0.7/db", StoreAddress("10.0.0.7", 8123, "me", "db", is_tls=False)),
        ("clickhouse+https://me@[::1]/db", StoreAddress("::1", 8443, "me", "db", is_tls=True)),
        ("clickhouse://a%40b@ch/db_1", StoreAddress("ch", 8443, "a@b", "db_1", is_tls=True)),
    ],
)
def test_an_address_says_how_the_server_is_spoken_to(text: str, address: StoreAddress) -> None:
    assert store_address(text) == address
    assert store_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("postgres://me@ch/db", "it begins with none of clickhouse://"),
        ("clickhouse", "it begins with none of clickhouse://"),
        ("clickhouse://me@/db", "it names no host"),
        ("clickhouse://me@ch:0/db", "its port is 0"),
        ("clickhouse://me@ch:99999/db", "it is no URL"),
        ("clickhouse://me@ch:8443", "it ends in no database's name"),
        ("clickhouse://me@ch/a-b", "it ends in no database's name"),
        ("clickhouse://me@ch/db?secure=0", "it has more after the database's name"),
        (f"clickhouse://me:{SECRET}@ch/db", ""),
        ("clickhouse://me:s3cret@ch/db", "it has a password in it"),
        ("clickhouse:me:s3cret@ch/db", "store_password_file|names no host"),
    ],
)
def test_a_wrong_address_says_why_and_shows_no_password(text: str, why: str) -> None:
    shown = problem(store=text)
    assert shown.startswith("store = ")
    assert "(flag --store)" in shown
    assert "must be sqlite, or clickhouse://user@host:8443/database" in shown
    assert any(part in shown for part in why.split("|"))
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"store_cluster": "c"}, "is for ClickHouse, and store is sqlite"),
        ({"store": "clickhouse://u@h/d", "store_cluster": "a b"}, "a letter or _"),
        ({"store": "clickhouse://u@h/d", "retention_max_bytes": "1GiB"}, "is for SQLite, and store names ClickHouse"),
        ({"store": "clickhouse://u@h/d", "store_ca_file": "/nowhere"}, "a readable file of PEM certificates"),
        ({"store": "clickhouse://u@h/d", "store_password_file": "/nowhere"}, "cannot be read: No such file"),
        ({"store_outbox_bytes": "1"}, "a size from 1 MiB"),
    ],
)
def test_settings_that_do_not_fit_say_so(flags: dict[str, str], words: str) -> None:
    assert words in problem(**flags)


def test_the_password_comes_from_a_file_or_the_environment_and_is_shown_nowhere(tmp_path: Path) -> None:
    address = {"store": "clickhouse://me@ch/db"}
    by_environment = load(address, {"LLM_METRICS_PROXY_STORE_PASSWORD": SECRET})
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\nanother line\n")
    by_file = load({**address, "store_password_file": str(file)}, {})
    for loaded in (by_environment, by_file):
        access = store_access(loaded.settings)
        assert access is not None
        assert access.password == SECRET
        assert not [row for row in settings_table(loaded) if SECRET in str(row)]
        assert SECRET not in repr(loaded.settings)
        options = metrics_options(loaded, listen_fds=[], scoreboard_fd=None, backend="")
        assert options.store_password == SECRET
        assert SECRET not in str(options.settings)
    assert rows()["store_password"].no_flag
    file.write_text("\n")
    assert "its first line is empty" in problem(**address, store_password_file=str(file))


def test_one_password_is_enough(tmp_path: Path) -> None:
    flags = {"store": "clickhouse://me@ch/db", "store_password_file": os.fspath(tmp_path / "password")}
    with pytest.raises(SettingsError, match="give the one or the other"):
        load(flags, {"LLM_METRICS_PROXY_STORE_PASSWORD": SECRET})


def test_what_is_for_a_server_is_refused_without_one() -> None:
    assert "metrics_role" in problem(metrics_role="read")
    assert "one process stores and answers there" in problem(metrics_role="ingest")
    assert "store_backup" in problem(store_backup="disk:backups")
    there = {"store": "clickhouse://me@ch/db"}
    assert load({**there, "metrics_role": "READ"}, {}).settings.metrics_role == "read"
    assert load({**there, "store_backup": "file:daily"}, {}).settings.store_backup == "file:daily"
    for wrong in ("s3:bucket", "disk:", "disk:a b", "file:a'b"):
        assert "store_backup" in problem(**there, store_backup=wrong)
