"""``costs`` on a real database; and a machine's hour, priced by ``reprice`` from the shares that records have."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from llm_metrics_proxy.analytics.filters import stored_time
from llm_metrics_proxy.metrics_service import Priced, to_row
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.cli.conftest import Cli, make_record

BOX = '[[prices]]\nmodel = "*"\nusd_per_hour = 3.6\n'


def a_store(folder: Path, *rows: tuple[dict[str, object], Priced, float | None]) -> None:
    store = SqliteStore(folder / "data" / "metrics.db")
    now = stored_time(datetime.now(UTC) - timedelta(minutes=1))
    store.append(
        IngestBatch(
            rows=[
                to_row(make_record(number, timestamp=now, **facts), priced, busy_ms)
                for number, (facts, priced, busy_ms) in enumerate(rows, 1)
            ]
        )
    )
    store.close()


def test_models_stand_side_by_side_and_estimates_are_marked(cli: Cli, tmp_path: Path) -> None:
    a_store(
        tmp_path,
        ({"model": "claude", "cached_tokens": 500}, (0.5, "genai_prices", 0.25), None),
        ({"model": "llama"}, (0.002, "own_hardware", None), 2000.0),
        ({"model": "qwen"}, (None, None, None), None),
    )
    told = cli("costs").out
    lines = [line.split() for line in told.splitlines()]
    assert lines[0][:10] == ["This", "month", "≈", "0.5020", "USD", "of", "2", "of", "3", "requests,"]
    assert "no projection yet" in told
    claude = next(line for line in lines if line[:1] == ["claude"])
    assert claude[:7] == ["claude", "1", "0.5000", "0.5000", "500.00", "333.33", "-"]
    assert claude[-1] == "0.2500"
    assert next(line for line in lines if line[:1] == ["llama"])[:4] == ["llama", "1", "≈", "0.0020"]
    found = json.loads(cli("costs", "--by", "backend_name", "--timezone", "Europe/Berlin", "--json").out)
    assert found["total"]["cost_usd"] == {"value": 0.502, "n": 2, "coverage": 2 / 3}
    assert len(found["months"]) == 12


def test_where_nothing_has_a_price_it_says_where_prices_are_set(cli: Cli, tmp_path: Path) -> None:
    a_store(tmp_path, ({}, (None, None, None), None))
    assert "docs/topics/cost.md" in cli("costs").out


def test_a_machines_hour_prices_what_is_stored_by_its_share_and_is_taken_back(cli: Cli, tmp_path: Path) -> None:
    a_store(tmp_path, ({"model": "llama"}, (None, None, None), 2000.0), ({"model": "qwen"}, (None, None, None), None))
    (tmp_path / "f.toml").write_text(BOX)
    assert "1 were repriced" in cli("reprice", "--since", "1d", "--config", "f.toml").out
    rows = json.loads(cli("costs", "--json").out)["rows"]
    assert rows[0]["key"] == {"model": "llama"}
    assert rows[0]["values"]["estimated_cost_usd"]["value"] == 0.002
    cli("reprice", "--undo", "1")
    assert json.loads(cli("costs", "--json").out)["total"]["cost_usd"]["n"] == 0


def test_what_cannot_be_asked_is_told_in_words(cli: Cli, tmp_path: Path) -> None:
    a_store(tmp_path, ({}, (None, None, None), None))
    ran = cli("costs", "--by", "modle")
    assert ran.code != 0
    assert "did you mean model" in ran.err
    assert cli("costs", "--timezone", "Mars").code != 0
