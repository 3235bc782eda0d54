"""The table of settings and the page made of it."""

import runpy
import sys
from pathlib import Path

import msgspec
import pytest

from llm_metrics_proxy.config import values
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.table import markdown, rows, table_rows, values_module, values_of
from llm_metrics_proxy.config.toml_tables import TOML_TABLES

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_document_is_what_the_table_gives() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == markdown(), "run python -m llm_metrics_proxy.config.table"


def test_the_values_of_processes_are_what_the_table_gives() -> None:
    assert Path(values.__file__).read_text(encoding="utf-8") == values_module(), "run python -m …config.table"


def test_every_setting_but_secrets_and_tables_reaches_a_process_by_its_name() -> None:
    settings = Settings(data_dir="here", journal_max_bytes="1GiB", port=9)  # type: ignore[arg-type]
    plain = msgspec.convert(values_of(settings), values.SettingValues)
    left_out = {name for name, row in rows().items() if row.toml_only or row.is_secret}
    assert left_out == {
        "metrics_token", "otlp_headers", "store_password", "backends", "prices", "slos", "alerts", "budgets", "tokens",
    }  # fmt: skip
    assert [*plain.__struct_fields__] == [name for name in Settings.model_fields if name not in left_out]
    assert (plain.port, plain.journal_max_bytes) == (9, 1024**3)
    assert plain.db_path == str(Path("here/metrics.db").absolute())
    assert not any(field.default is not msgspec.NODEFAULT for field in msgspec.structs.fields(values.SettingValues))


def test_every_setting_is_documented_in_full() -> None:
    assert list(rows()) == list(Settings.model_fields)
    for row in rows().values():
        for words in (row.group, row.default, row.allowed, row.meaning):
            assert words, row.name
        assert row.meaning.endswith("."), row.name
        for name in (f"| `{row.name}` |", f"`{row.flags}`", f"`{row.environment}`"):
            is_shown = not row.toml_only and not (row.no_flag and name == f"`{row.flags}`")
            assert (name in markdown()) == (is_shown or name.startswith("|"))


@pytest.mark.parametrize("table", TOML_TABLES)
def test_every_key_of_a_table_is_documented_in_full(table: str) -> None:
    assert list(table_rows(table)) == list(TOML_TABLES[table].model.model_fields)
    for row in table_rows(table).values():
        for words in (row.default, row.allowed, row.meaning):
            assert words, row.name
        assert row.meaning.endswith("."), row.name
        assert f"| `{row.name}` | {row.default} |" in markdown()


def test_a_name_that_ends_in_a_unit_has_that_unit() -> None:
    endings = {"_bytes_per_s": "bytes/s", "_s": "s", "_ms": "ms", "_bytes": "bytes", "_rows": "rows"}
    for row in rows().values():
        ending = next((ending for ending in endings if row.name.endswith(ending)), None)
        if ending is not None:
            assert row.unit == endings[ending], row.name


def test_every_number_says_its_range() -> None:
    table = rows()
    assert table["port"].allowed == "a whole number from 0 to 65535"
    assert table["max_header_bytes"].allowed == "a size from 1 KiB to 1 MiB"
    assert table["connect_timeout_s"].allowed == "a number from 0.1 to 86400"
    assert table["log_format"].allowed == "text or json"
    assert table["log_level"].allowed == "debug, info, warning or error"
    assert table["insecure"].allowed == "true or false"


def test_rows_know_what_kind_of_flag_they_need() -> None:
    table = rows()
    assert [name for name, row in table.items() if row.is_secret] == ["metrics_token", "store_password", "otlp_headers"]
    assert [name for name, row in table.items() if row.no_flag] == ["store_password"]
    assert [name for name, row in table.items() if row.is_list] == [
        "allowed_hosts", "allowed_origins", "allow_paths", "trusted_proxies", "identity_app", "identity_session_id",
        "identity_agent_id", "identity_parent_agent_id", "identity_user", "identity_hash", "identity_not_stored",
    ]  # fmt: skip
    assert table["insecure"].flags == "--insecure/--no-insecure"
    assert table["data_dir"].flags == "--data-dir"


def test_the_module_writes_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "settings.md"
    monkeypatch.setattr(sys, "argv", ["settings_table", str(target)])
    monkeypatch.delitem(sys.modules, "llm_metrics_proxy.config.table")
    runpy.run_module("llm_metrics_proxy.config.table", run_name="__main__")
    assert target.read_text(encoding="utf-8") == markdown()
