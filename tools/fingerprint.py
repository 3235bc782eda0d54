"""What a released version decided for good, as fingerprints: its formulas, schema steps, migrations and database.

    python -m tools.fingerprint       freezes the current version, as the last act before it ships: `make freeze`

``tests/architecture/test_discipline.py`` holds the sources against ``tests/fixtures/formula_fingerprints.json`` and
fails when anything that was released has changed. A version that is frozen cannot be frozen again.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from llm_metrics_proxy.metrics_service import APP_VERSION, Formula, formula_of
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage.sqlite_schema import known_steps
from llm_metrics_proxy.wire.endpoints import DIALECTS
from llm_metrics_proxy.wire.error_clues import STATUSES, VAGUE
from llm_metrics_proxy.wire.error_taxonomy import OUTCOME_OF, OutcomeFacts, Taxonomy, taxonomy_of
from llm_metrics_proxy.wire.error_types import FIRST, TAXONOMY, ErrorType
from llm_metrics_proxy.wire.facts import Usage
from llm_metrics_proxy.wire.token_counts import tokens_from

ROOT: Final = Path(__file__).parents[1]
GOLDEN: Final = ROOT / "tests" / "fixtures" / "databases"
REPORTS: Final = ROOT / "tests" / "fixtures" / "usage_reports.json"
STORED: Final = ROOT / "tests" / "fixtures" / "formula_fingerprints.json"


class Released(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version, as it was released: SHA-256 digests in hex, by name."""

    formula: str  # over the results for the table of inputs
    schema_steps: dict[str, str]  # by number and name, of the SQL text
    migrations: dict[str, str]  # by target version, see Migration.checksum
    databases: dict[str, str]  # by file name
    error_types: str = ""  # over what the version recognises; none before 4.4.0: those of 3.0.0
    counts: dict[str, str] = {}  # by dialect, over what it counts in the first ``reports``; none before 4.5.0
    reports: int = 0


# The table of inputs. Frozen too: a change of it would change every fingerprint.
_TOKENS: Final = (None, 0, 1, 7, 111, 4096, 1_000_000)
_DURATIONS_MS: Final = (None, 0.0, 0.001, 0.75, 333.3, 1125.0, 600_000.0)
_OTHERS: Final[tuple[dict[str, Any], ...]] = (  # so that a formula that begins to look at something else shows, too
    {},
    {
        "is_streaming": True, "success": True, "outcome": "completed", "status_code": 200, "prompt_tokens": 11,
        "completion_tokens": 100, "cached_tokens": 5, "reasoning_tokens": 30, "usage_source": "reported",
        "content_chunks": 90, "response_headers_ms": 95.5, "time_to_first_byte_ms": 99.0,
        "time_to_first_token_ms": 120.25, "time_to_first_output_ms": 200.5, "time_to_last_token_ms": 320.125,
        "inter_chunk_max_ms": 41.0, "request_sent_ms": 1.5, "proxy_overhead_ms": 0.4,
    },
    {
        "is_streaming": False, "success": True, "outcome": "completed", "status_code": 200, "prompt_tokens": 3,
        "completion_tokens": 4, "usage_source": "estimated", "time_to_first_byte_ms": 300.0, "choice_count": 3,
    },
    {
        "is_streaming": True, "success": False, "outcome": "stream_truncated", "status_code": 200, "retries": 1,
        "prompt_tokens": 0, "completion_tokens": 0, "usage_rejected": True, "error_type": "truncated",
        "time_to_first_token_ms": 0.0, "time_to_last_token_ms": 0.0,
    },
)  # fmt: skip


def inputs() -> list[RequestRecord]:
    """Records that make a formula show what it does: every pair of tokens and time, among several other facts."""
    head: dict[str, Any] = {
        "request_id": "0" * 32,
        "timestamp": "2026-01-01T00:00:00.000000Z",
        "method": "POST",
        "endpoint": "/v1/x",
    }
    return [
        RequestRecord(**head, **others, total_tokens=tokens, response_time_ms=duration_ms)
        for others, tokens, duration_ms in product(_OTHERS, _TOKENS, _DURATIONS_MS)
    ]


def formula_fingerprint(formula: Formula) -> str:
    """Over the bits of every result; a result that is an error counts by its kind."""
    lines = [_result(formula, record) for record in inputs()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _result(formula: Formula, record: RequestRecord) -> str:
    try:
        values = formula(record)
    except ArithmeticError as error:
        return type(error).__name__
    return " ".join(_bits(value) for value in values)


def _bits(value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or "none"
    return float(value).hex()


def error_types_fingerprint(version: str, types: Sequence[ErrorType]) -> str:
    """Over all that ``version`` classifies by; meaning and advice may be edited."""
    known = taxonomy_of(version, types)
    rows = [each._replace(meaning="", advice="")._asdict() for each in known.types]
    rows += [each._asdict() for each in known.clues if each.since != FIRST]
    # without what is empty, so that a field that is added one day changes nothing
    kept = [[(name, value) for name, value in row.items() if value] for row in rows]
    return hashlib.sha256(repr(kept).encode()).hexdigest()


def sample_reports() -> list[str]:
    """What servers report, in every shape that some dialect counts. More may be added at the end."""
    return [json.dumps(report) for report in json.loads(REPORTS.read_bytes())]


def counts_fingerprints(reports: Sequence[str]) -> dict[str, str]:
    """Over the token counts that each dialect finds in the reports; those that are not its own are nonsense to it."""
    return {
        dialect.name: hashlib.sha256(
            "\n".join(_counts(tokens_from(report, dialect.name)) for report in reports).encode()
        ).hexdigest()
        for dialect in DIALECTS
        if dialect.tokens is not None
    }


def _counts(usage: Usage | None) -> str:
    # without what is empty, so that a count that is added one day changes nothing
    given = {} if usage is None else msgspec.structs.asdict(usage)
    return repr(sorted((name, value) for name, value in given.items() if value not in (None, False)))


def failures(known: Taxonomy) -> Iterator[OutcomeFacts]:
    """What records of failures may hold: all that is recognised of servers, and what released programs stored."""
    texts = [text for each in known.clues for text in each.texts]
    words = {word for each in (*known.clues, *VAGUE) for word in each.words} | {each.type for each in known.types}
    for status in (200, 400, 418, 500, 599, *STATUSES):
        failed: dict[str, Any] = {"outcome": "upstream_error", "upstream_status_code": status}
        yield OutcomeFacts(**failed)
        yield from (OutcomeFacts(**failed, upstream_error_code=word, error_type=word) for word in sorted(words))
        yield from (OutcomeFacts(**failed, error_message=f"model: {text}") for text in texts)
    for outcome, word in product(OUTCOME_OF, ("refused", "disconnect", "send_timeout", *sorted(words))):
        yield OutcomeFacts(outcome=outcome, error_type=word)
    for path in sorted(GOLDEN.glob("*.db")):
        yield from _stored_failures(path)


def _stored_failures(path: Path) -> Iterator[OutcomeFacts]:
    connection = apsw.Connection(
        f"{path.absolute().as_uri()}?immutable=1", apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    )
    with closing(connection):
        there = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info('completion_requests')")}
        if "outcome" in there:  # else it is classified by the migration to 3.0.0 alone
            names = [name if name in there else f"NULL AS {name}" for name in OutcomeFacts._fields]
            rows = connection.execute(f"SELECT {', '.join(names)} FROM completion_requests")  # noqa: S608 -- ours
            yield from map(OutcomeFacts._make, rows)


def files(folder: Path, pattern: str) -> dict[str, str]:
    """SHA-256 of files by name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob(pattern))}


def present(version: str) -> Released:
    """The sources as they are now, as a release of ``version`` would freeze them."""
    return Released(
        formula=formula_fingerprint(formula_of(version)),
        schema_steps=known_steps(),
        migrations={migration.version: migration.checksum for migration in MIGRATIONS},
        databases=files(GOLDEN, "*.db"),
        error_types=error_types_fingerprint(version, TAXONOMY),
        counts=counts_fingerprints(sample_reports()),
        reports=len(sample_reports()),
    )


def released(path: Path = STORED) -> dict[str, Released]:
    """Every version that was frozen, in the order in which they were."""
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Released])


def freeze(known: Mapping[str, Released], version: str, now: Released) -> dict[str, Released]:
    """``known`` with one more version.

    Raises ``ValueError`` if it has no golden database, or was released before as something else.
    """
    if f"{version}.db" not in now.databases:
        raise ValueError(f"{version} has no golden database: run `make golden`")
    if version in known and known[version] != now:
        raise ValueError(f"{version} was released, and is not what it was: take the change back, or bump APP_VERSION")
    return {**known, version: now}


def main() -> None:
    """Freeze the version that the sources name."""
    try:
        frozen = freeze(released(), APP_VERSION, present(APP_VERSION))
    except ValueError as error:
        raise SystemExit(str(error)) from error
    STORED.write_text(json.dumps(msgspec.to_builtins(frozen), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
