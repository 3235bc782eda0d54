"""A database with three records, and the command line run inside the test."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from llm_metrics_proxy.cli.app import run
from llm_metrics_proxy.metrics_service import to_row
from llm_metrics_proxy.record import Outcome, RequestRecord
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteStore


class Ran(NamedTuple):
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ran]


@pytest.fixture
def cli(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """Run a command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run_it(*arguments: str) -> Ran:
        code = run(arguments)
        captured = capfdbinary.readouterr()
        return Ran(code, captured.out.decode(), captured.err.decode())

    return run_it


def make_record(number: int, **facts: object) -> RequestRecord:
    """A completed stream of minute ``number`` of 2026."""
    values: dict[str, object] = {
        "request_id": f"{number:032x}",
        "timestamp": f"2026-01-01T00:{number:02}:00.000000Z",
        "method": "POST",
        "endpoint": "/v1/chat/completions",
        "model": "llama",
        "is_streaming": True,
        "success": True,
        "outcome": Outcome.COMPLETED,
        "status_code": 200,
        "finish_reason": "stop",
        "prompt_tokens": 1000,
        "completion_tokens": 500,
        "total_tokens": 1500,
        "time_to_first_token_ms": 120.0,
        "time_to_last_token_ms": 2615.0,  # 200 output tokens/s, where prompt and all make 500
        "response_time_ms": 3000.0,
        **facts,
    }
    return RequestRecord(**values)  # type: ignore[arg-type]


FAILED = {
    "success": False,
    "outcome": Outcome.UPSTREAM_ERROR,
    "status_code": 503,
    "finish_reason": None,
    "origin": "[red]over\x1b[2Jloaded",
    "prompt_tokens": None,
    "completion_tokens": None,
    "total_tokens": None,
    "time_to_first_token_ms": None,
}


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    """``data/metrics.db`` in the folder that ``cli`` runs in; the second of three records failed."""
    store = SqliteStore(tmp_path / "data" / "metrics.db")
    records = [make_record(1), make_record(2, model="qwen", **FAILED), make_record(3, origin="editor")]
    store.append(IngestBatch(rows=[to_row(record) for record in records]))
    return store


def words(line: str) -> list[str]:
    """A line of a table without its spacing."""
    return line.split()
