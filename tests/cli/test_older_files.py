"""Verbs on files of older releases: before a program that writes has brought them up to date, and behind it."""

import shutil
from pathlib import Path
from typing import Final

import pytest

from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.cli.conftest import Cli

_GOLDEN: Final = Path(__file__).parents[1] / "fixtures" / "databases"
_VERBS: Final = (
    ("requests",),
    ("requests", "--order", "-cache_savings_usd"),
    ("summary",),
    ("query", "--metrics", "requests,cost_usd", "--by", "model"),
    ("query", "--metrics", "cache_savings_usd"),
    ("sessions", "list"),
    ("costs",),
    ("changes",),
    ("errors",),
    ("servers",),
    ("limits",),
    ("export", "--format", "csv"),
    ("report", "--since", "3650d"),
    ("reprice", "--since", "2020-01-01", "--dry-run"),
    ("doctor",),
    ("migrate", "status"),
)
_UNSAID: Final = ("Traceback", "no such", "No such option", "unexpected extra")
_BY_NAME: Final = pytest.mark.parametrize("verb", _VERBS, ids=" ".join)


def _copy(version: str, folder: Path) -> Path:
    return Path(shutil.copyfile(_GOLDEN / f"{version}.db", folder / "metrics.db"))


def _is_told_what_to_do(words: str) -> bool:
    return "llm-metrics-proxy" in words and ("`llm-metrics-proxy migrate" in words or "Start `" in words)


@_BY_NAME
@pytest.mark.parametrize("version", ["4.5.0", "5.0.0"])
def test_a_file_that_lacks_the_newest_steps_is_answered_or_says_what_to_do(
    cli: Cli, tmp_path: Path, version: str, verb: tuple[str, ...]
) -> None:
    path = _copy(version, tmp_path)
    before = path.read_bytes()

    ran = cli(*verb, "--db-path", str(path))

    said = ran.out + ran.err
    assert not any(words in said for words in _UNSAID), said
    assert ran.code == 0 or verb == ("doctor",) or _is_told_what_to_do(ran.err), said
    assert path.read_bytes() == before


@_BY_NAME
def test_behind_the_first_program_that_writes_each_verb_answers(
    cli: Cli, tmp_path: Path, verb: tuple[str, ...]
) -> None:
    path = _copy("5.0.0", tmp_path)
    store = SqliteStore(path)
    store.positions()
    store.close()

    ran = cli(*verb, "--db-path", str(path))

    said = ran.out + ran.err
    assert not any(words in said for words in _UNSAID), said
    assert ran.code == 0 or verb == ("doctor",), said
