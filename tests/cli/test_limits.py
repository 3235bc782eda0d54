"""``limits`` on a real database: limits as answers told them, budgets as records have them now."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from llm_metrics_proxy.cli import watch_checks
from llm_metrics_proxy.cli.finding import CheckStatus
from llm_metrics_proxy.cli.limits import WHO_TELLS
from llm_metrics_proxy.config.sources import load
from llm_metrics_proxy.quotas import QuotaBook
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.analytics.database import a_row
from tests.cli.conftest import Cli, make_record
from tests.quotas.test_book import CODEX, said

BUDGETS = """
[[budgets]]
name = "each"
usd = 1
per = "day"
each = "user"

[[budgets]]
name = "all"
tokens = 1000000
"""


def hear(store: SqliteStore) -> None:
    began = datetime.now(UTC) - timedelta(minutes=30)
    book = QuotaBook()
    facts = {**CODEX, "quota_primary_used_percent": 60.0, "quota_primary_reset_ms": 3.6e6 * 4.5}
    book.observe(msgspec.structs.replace(said(**facts), timestamp=began.isoformat()))
    store.append(IngestBatch(windows=book.take_changes()))


def spend(store: SqliteStore, number: int, user: str, usd: float) -> None:
    record = msgspec.structs.replace(make_record(number), timestamp=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    record.user = user
    store.append(IngestBatch(rows=[a_row(record, cost_usd=usd)]))


def test_where_no_server_says_so_it_says_who_does(cli: Cli, store: SqliteStore) -> None:
    del store
    assert cli("limits").out.split() == WHO_TELLS.split()
    assert json.loads(cli("limits", "--json").out)["limits"] == []


def test_limits_and_budgets_are_shown_with_their_outlook(cli: Cli, store: SqliteStore, tmp_path: Path) -> None:
    hear(store)
    spend(store, 40, "anna", 2.0)
    spend(store, 41, "ben", 0.1)
    (tmp_path / "f.toml").write_text(BUDGETS)
    text = " ".join(cli("limits", "--config", "f.toml").out.split())
    assert "40" in text
    assert "before it begins anew." in text
    assert "anna 2.00 USD 1.00 USD" in text
    found = json.loads(cli("limits", "--config", "f.toml", "--json").out)
    primary = next(one for one in found["limits"] if one["limit"] == "primary")
    assert (primary["left_ratio"], primary["verdict"]) == (0.4, "runs_out")
    each, whole = found["budgets"]
    assert [(one["value"], one["state"]) for one in each["standings"]][:1] == [("anna", "over")]
    assert whole["standings"][0]["spent"] == 3000


def test_a_file_of_an_older_version_has_no_limits(cli: Cli, store: SqliteStore) -> None:
    store._connection.execute("DROP TABLE limit_windows")
    assert cli("limits").out.split() == WHO_TELLS.split()


@pytest.mark.parametrize(("user", "status"), [("anna", CheckStatus.OK), ("nobody", CheckStatus.WARNING)])
def test_doctor_says_which_budgets_and_tokens_need_a_look(
    store: SqliteStore, tmp_path: Path, user: str, status: CheckStatus
) -> None:
    spend(store, 40, "anna", 2.0)
    tokens = f"metrics_token = 'everything'\n[[tokens]]\nname = 'a'\ntoken = 'some-token'\nuser = '{user}'\n"
    (tmp_path / "f.toml").write_text(tokens + BUDGETS)
    settings = load({"db_path": str(store.path), "data_dir": str(store.path.parent)}, {}, tmp_path / "f.toml").settings
    found = watch_checks.budgets(settings)
    assert found.status == CheckStatus.WARNING
    assert "each of anna (200% used, over)" in found.found
    assert watch_checks.tokens(settings).status == status
    none = load({"data_dir": str(tmp_path)}, {}).settings
    assert watch_checks.budgets(none).status == watch_checks.tokens(none).status == CheckStatus.OK
