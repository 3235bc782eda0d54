"""Verification by combinations: what is held against an oracle once stands for every record that is alike."""

import shutil
from pathlib import Path
from typing import Any, Final

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.fingerprint import GOLDEN

from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.model import Ended, Migration, MigrationResult
from llm_metrics_proxy.migration.options import Options
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.wire import error_taxonomy
from llm_metrics_proxy.wire.error_types import TAXONOMY, ErrorType
from tests import legacy

NEWEST: Final = MIGRATIONS[-1].version
BY_COMBINATION: Final = [migration for migration in MIGRATIONS if migration.oracle_key is not None]
ODD: Final = st.one_of(
    st.none(),
    st.sampled_from([0, 1, -1, 200, 404, 2**63 - 1, 0.0, -0.0, 1.0, 404.0, 1e308, b"", b"stop", b"\xff"]),
    st.sampled_from(
        ["", "completed", "upstream_error", "client_disconnected", "proxy_error", "record_lost", "unknown", "truncated",
         "no_models", "no_backend_for_model", "refusal", "STOP", "stop\0", "overloaded_error", "é", "500"]
    ),
)  # fmt: skip


# Else hardly any record that is tried would be one for which combinations stand.
LIKELY: Final[dict[str, dict[str, st.SearchStrategy[Any]]]] = {
    "4.0.0": {"content_chunks": st.none(), "is_streaming": st.sampled_from([0, 0.0, -0.0, 0, 1, "0"])}
}


@pytest.mark.parametrize("migration", BY_COMBINATION, ids=lambda migration: migration.version)
def test_the_oracle_cannot_tell_a_record_from_what_is_seen_of_it(migration: Migration) -> None:
    templates = migration.oracle_key
    assert templates is not None
    assert len(templates) == len(migration.inputs)
    connection = apsw.Connection(":memory:")
    names = {name: f"v{number}" for number, name in enumerate(migration.inputs, 1)}
    row = f"(SELECT {', '.join(f'? AS {name}' for name in names.values())})"
    seen = ", ".join(template.format(names[name]) for name, template in zip(migration.inputs, templates, strict=True))
    stands, likely = migration.oracle_key_where.format(**names), LIKELY.get(migration.version, {})

    @given(st.tuples(*[likely.get(name, ODD) for name in migration.inputs]))
    def holds(values: tuple[Any, ...]) -> None:
        alike = connection.execute(f"SELECT {seen} FROM {row} WHERE {stands}", values).fetchall()
        if alike:
            assert migration.oracle(*values) == migration.oracle(*alike[0])

    holds()
    connection.close()


def spoilt(path: Path, tmp_path: Path, spoil: str) -> MigrationResult:
    """A migration of ``path``, in which ``spoil`` happens between the batches and the verification."""
    done = [False]

    def report(progress: Any) -> None:
        if progress.phase == "verifying" and not done[0]:
            done[0] = True
            connection = apsw.Connection(str(path))
            connection.set_busy_timeout(10_000)
            connection.execute(spoil)
            connection.close()

    return engine.migrate(path, Options(backup_dir=tmp_path / "backups"), report=report, migrations=MIGRATIONS)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("SET error_type = 'TIMEOUT' WHERE arrival = 55",
         "error_type is 'TIMEOUT' and should be 'timeout'"),
        ("SET error_category = 'upstream' WHERE arrival = 7", "error_category is 'upstream' and should be None"),
        ("SET outcome = 'timeout' WHERE arrival = 7", "outcome is 'timeout' and should be 'completed'"),
        ("SET recompute_reason = 'odd' WHERE arrival = 7", "recompute_reason is 'odd'"),
        (f"SET app_version = '{NEWEST} ' WHERE arrival = 7", f"app_version is '{NEWEST} ' and should be '{NEWEST}'"),
        ("SET time_to_last_token_ms = 5.0 WHERE arrival = 7", "time_to_last_token_ms is 5.0 and should be None"),
        ("SET output_tokens_per_second = 5.0 WHERE arrival = 8", "output_tokens_per_second is 5.0 and should be None"),
        ("SET output_tokens_per_second = 5.0 WHERE arrival = 9", "output_tokens_per_second is 5.0 and should be 10.0"),
        ("SET model = 'other' WHERE arrival = 9", "model is 'other' and should be None"),
        ("SET total_tokens = 6 WHERE arrival = 9", "total_tokens is 6 and should be 5"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("collation", ["BINARY", "NOCASE"])
def test_one_record_that_differs_from_those_like_it_is_named(
    tmp_path: Path, spoil: str, words: str, collation: str
) -> None:
    """In columns that compare without case too: a difference in case is one."""
    path = legacy.make(tmp_path / "metrics.db", "1.1", 0)
    connection = apsw.Connection(str(path))
    sql = str(connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'completion_requests'").fetchall()[0][0])
    connection.execute("DROP TABLE completion_requests")
    connection.execute(sql.replace("error_type TEXT", f"error_type TEXT COLLATE {collation}"))
    for number in range(1, 60):
        failed = number % 5 == 0
        connection.execute(
            "INSERT INTO completion_requests (id, timestamp, success, status_code, response_time_ms, total_tokens, "
            "completion_tokens, is_streaming, time_to_first_token_ms, time_to_last_token_ms, error_type) "
            "VALUES (?, '2025-06-01T12:00:00', ?, ?, 300.0, 5, 3, ?, ?, ?, ?)",
            (
                number,
                not failed,
                504 if failed else 200,
                *((1, 50.0, 250.0) if number % 3 == 0 else (0, 300.0, 300.0)),
                "timeout" if failed else None,
            ),
        )
    connection.close()
    result = spoilt(path, tmp_path, f"UPDATE completion_requests {spoil}")
    assert result.ended is Ended.ROLLED_BACK
    assert [fault.check for fault in result.faults[:1]] in (["oracle"], ["raw"])
    assert words in result.faults[0].message
    assert result.faults[0].record_id is not None


def test_records_are_held_against_the_error_types_of_the_version_that_stored_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = ErrorType("policy", "odd_tongue", "It speaks so.", "Teach it.", since="98.7.6", words=("tongue",))
    monkeypatch.setattr(error_taxonomy, "TAXONOMY", (*TAXONOMY, later))
    path = shutil.copyfile(GOLDEN / "5.0.0.db", tmp_path / "metrics.db")
    connection = apsw.Connection(str(path))
    chosen = "arrival = (SELECT max(arrival) FROM completion_requests WHERE outcome = 'upstream_error')"
    connection.execute(
        "UPDATE completion_requests SET upstream_error_code = 'tongue', upstream_error_type = NULL, "
        "error_message = NULL, error_type = 'odd_tongue', error_category = 'policy', app_version = '98.7.6' "
        f"WHERE {chosen}"
    )
    assert engine.verify(path, migrations=MIGRATIONS, app_version="98.7.6") == ()
    connection.execute(f"UPDATE completion_requests SET app_version = '98.7.5' WHERE {chosen}")
    connection.close()
    (fault,) = engine.verify(path, migrations=MIGRATIONS, app_version="98.7.6")
    assert "by version 98.7.5, " in fault.message
    assert "error_type is 'odd_tongue' and should be " in fault.message
