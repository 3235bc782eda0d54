"""``compact`` as people and programs run it."""

import json
from pathlib import Path

import pytest

from llm_metrics_proxy.cli.app import run
from llm_metrics_proxy.storage.sqlite import SqliteReader
from tests.storage.test_compact import make


@pytest.fixture
def data(tmp_path: Path) -> Path:
    make(tmp_path / "metrics.db")
    return tmp_path


def test_it_says_what_it_gave_back_and_where_the_backup_is(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compact", "--data-dir", str(data)]) == 0
    shown = capsys.readouterr().out
    assert "every row compared" in shown
    assert "are free again" in shown
    assert "Records  200" in shown
    assert str(next((data / "backups").glob("*.db")).name) in shown.replace("\n", "")
    assert run(["compact", "--data-dir", str(data)]) == 0
    assert "has no room to give back" in capsys.readouterr().out.replace("\n", " ")


def test_as_json(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (data / "metrics.db").stat().st_size
    assert run(["compact", "--db", str(data / "metrics.db"), "--data-dir", str(data), "--no-backup", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    after = (data / "metrics.db").stat().st_size
    assert (told["bytes_before"], told["bytes_after"], told["backup"]) == (before, after, None)
    assert (told["given_back_bytes"], told["records"]) == (before - after, 200)


def test_one_that_is_in_use_is_refused_with_3(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_metrics_proxy.storage.swap._TRIES", 1)
    reader = SqliteReader(data / "metrics.db")
    reader.query("SELECT 1 FROM completion_requests")
    assert run(["compact", "--data-dir", str(data)]) == 3
    reader.close()
    said = capsys.readouterr().err
    assert "Stop `serve` or `metrics`" in said
    assert said.count("\n") == 1


def test_none_that_is_there_is_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compact", "--data-dir", str(tmp_path)]) == 2
    assert "no database at" in capsys.readouterr().err
