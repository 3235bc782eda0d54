"""``reprice`` on a real database, with a price table in a real file."""

import json
from pathlib import Path
from typing import Any

from llm_metrics_proxy.migration.lock import migration_lock
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from tests.cli.conftest import Cli

TABLE = '[[prices]]\nmodel = "llama"\ninput_usd_per_mtok = 1000\noutput_usd_per_mtok = 2000\n'


def costs(folder: Path) -> list[tuple[Any, ...]]:
    reader = SqliteReader(folder / "data" / "metrics.db")
    try:
        return reader.query("SELECT model, cost_usd, cost_source FROM completion_requests ORDER BY arrival")
    finally:
        reader.close()


def test_records_get_todays_prices_and_the_rest_stays_unknown(cli: Cli, store: SqliteStore, tmp_path: Path) -> None:
    store.close()
    (tmp_path / "f.toml").write_text(TABLE)
    ran = cli("reprice", "--since", "2025-01-01", "--config", "f.toml")
    assert ran.code == 0, ran.err
    assert "3 records looked at, 2 were repriced" in ran.out
    assert costs(tmp_path) == [("llama", 2.0, "price_table"), ("qwen", None, None), ("llama", 2.0, "price_table")]


def test_a_run_is_taken_back_by_its_number(cli: Cli, store: SqliteStore, tmp_path: Path) -> None:
    store.close()
    (tmp_path / "f.toml").write_text(TABLE)
    assert "as repricing 1." in cli("reprice", "--since", "2025-01-01", "--config", "f.toml").out
    assert cli("reprice", "--undo", "1").out == "2 records have their cost from before repricing 1 again.\n"
    assert {cost for _, cost, _ in costs(tmp_path)} == {None}
    cli("reprice", "--since", "2025-01-01", "--config", "f.toml")
    told = json.loads(cli("reprice", "--undo", "2", "--json").out)["result"]
    assert (told["restored"], told["conflicts"]) == (2, 0)
    ran = cli("reprice", "--undo", "5")
    assert (ran.code, "there was no repricing 5" in ran.err) == (1, True)


def test_a_dry_run_tells_in_json_what_would_be(cli: Cli, store: SqliteStore, tmp_path: Path) -> None:
    store.close()
    (tmp_path / "f.toml").write_text(TABLE)
    ran = cli("reprice", "--since", "2025-01-01", "--origin", "editor", "--dry-run", "--json", "--config", "f.toml")
    told = json.loads(ran.out)
    assert told["dry_run"] is True
    assert (told["result"]["changed"], told["result"]["cost_after_usd"]) == (1, 2.0)
    assert told["price_lists"].startswith("1 row of the price table, genai-prices ")
    assert {cost for _, cost, _ in costs(tmp_path)} == {None}


def test_from_when_on_has_to_be_said(cli: Cli, store: SqliteStore) -> None:
    store.close()
    ran = cli("reprice")
    assert ran.code == 2
    assert "--since is needed" in ran.err


def test_while_a_migration_holds_the_lock_nothing_is_priced(cli: Cli, store: SqliteStore, tmp_path: Path) -> None:
    store.close()
    (tmp_path / "f.toml").write_text(TABLE)
    with migration_lock(tmp_path / "data" / "metrics.db"):
        ran = cli("reprice", "--since", "2025-01-01", "--config", "f.toml")
    assert ran.code == 3
    assert "holds metrics.db.migration-lock" in ran.err
    assert {cost for _, cost, _ in costs(tmp_path)} == {None}


def test_a_provider_that_nobody_knows_is_told_with_those_that_are(cli: Cli, store: SqliteStore, tmp_path: Path) -> None:
    store.close()
    (tmp_path / "f.toml").write_text('[[prices]]\nmodel = "*"\nprovider = "openia"\n')
    ran = cli("reprice", "--since", "2025-01-01", "--config", "f.toml")
    assert ran.code == 2
    assert "prices[0].provider = 'openia'" in ran.err
    assert "openai" in ran.err
