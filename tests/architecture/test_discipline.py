"""What was released stays as it was, and what changes says so. Checked, not hoped for."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec
import pytest
from msgspec import structs
from semver import Version
from tools import fingerprint
from tools.discipline import (
    CHECKS,
    Check,
    Sources,
    every_major_is_complete,
    every_version_is_described,
    formulas_change_with_a_major_only,
    golden_databases_stay,
    migrations_are_in_order,
    migrations_compute_what_the_formulas_do,
    new_error_types_move_no_older_record,
    released_counts_stay,
    released_error_types_stay,
    released_formulas_stay,
    released_migrations_stay,
    released_schema_steps_stay,
    sources,
    the_current_version_is_the_newest,
    versions_before_this_one_are_frozen,
)

from llm_metrics_proxy.metrics_service import APP_VERSION, Formula, formula_of
from llm_metrics_proxy.migration.model import ColumnChange
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.safe_migrations import migrate_to_version_2_0_0
from llm_metrics_proxy.wire.error_types import ErrorType


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_sources_keep_the_discipline(check: Check) -> None:
    assert check(sources()) == []


def other_formula(record: RequestRecord) -> tuple[float | None, ...]:
    """Differs from ours for some records only: it looks at another time, where there is one."""
    tokens, duration_ms = record.total_tokens, record.time_to_last_token_ms or record.response_time_ms
    return (tokens * 1000 / duration_ms,) if tokens and duration_ms else (None,)


OUR_FORMULA: Final = formula_of("2.0.0")
OURS: Final = migrate_to_version_2_0_0()
_MAJOR: Final = Version.parse(APP_VERSION).major
NEXT: Final = f"{_MAJOR + 1}.0.0"  # the MAJOR that a doctored copy has, not quite
MINOR: Final = f"{_MAJOR}.99.0"
LATER: Final = f"{_MAJOR + 1}.7.6"
LONGER: Final = f"{10 ** len(str(_MAJOR))}.0.0"  # one digit more: as text it comes before
TO_NEXT: Final = OURS._replace(version=NEXT)
FROZEN: Final = fingerprint.present(APP_VERSION)


def released_today(it: Sources) -> Sources:
    """As if the current version had just been released."""
    return it._replace(released={**it.released, it.app_version: FROZEN})


def edited(it: Sources, **change: Any) -> Sources:
    """After the release, the first migration was edited."""
    first, *rest = it.migrations
    return released_today(it)._replace(migrations=(first._replace(**change), *rest))


def with_formula(it: Sources, version: str, formula: Formula) -> Sources:
    """One formula more, or another one for a version."""
    return it._replace(formulas={**it.formulas, version: formula})


def a_whole_major(it: Sources) -> Sources:
    """The next MAJOR with all that it needs: the checks find no fault with it."""
    function = f"migrate_to_version_{NEXT.replace('.', '_')}"
    return it._replace(
        app_version=NEXT,
        formulas={**it.formulas, NEXT: OUR_FORMULA},
        entries=it.entries | {NEXT},
        migrations=(*it.migrations, TO_NEXT),
        migration_functions=it.migration_functions | {function},
        databases={**it.databases, f"{NEXT}.db": "0"},
        released={**it.released, it.app_version: FROZEN},
        versioning=f"{it.versioning}\n### {NEXT}\n",
        changelog=f"# Changelog\n\n## {NEXT}\n\n{it.changelog}",
    )


def with_error_type(it: Sources, since: str = MINOR, **recognised: Any) -> Sources:
    """One row more in the taxonomy."""
    row = ErrorType("policy", "odd_tongue", "The server speaks so.", "Teach it.", since=since, **recognised)
    return it._replace(error_types=(*it.error_types, row))


def oracle_of_1_0_0(*values: Any) -> tuple[Any, ...]:
    """Half of what is right."""
    rate, *rest = OURS.oracle(*values)
    return (rate / 2 if isinstance(rate, float) else rate, *rest)


def without(mapping: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key != name}


# A check, what the doctor did, and what the check must say of it.
DOCTORED: Final[tuple[tuple[Check, str, Callable[[Sources], Sources], str], ...]] = (
    (
        released_formulas_stay,
        "a released formula was edited",
        partial(with_formula, version="2.0.0", formula=other_formula),
        "the formula of 2.0.0 was released and has changed",
    ),
    (
        released_formulas_stay,
        "a released formula was removed",
        lambda it: it._replace(formulas=without(it.formulas, "2.0.0")),
        "the formula of 2.0.0 was released and has changed",
    ),
    (
        released_formulas_stay,
        "the current one was released, then edited",
        lambda it: with_formula(released_today(it), APP_VERSION, other_formula),
        f"the formula of {APP_VERSION} was released and has changed",
    ),
    (
        formulas_change_with_a_major_only,
        "a MINOR changed a formula",
        partial(with_formula, version="2.99.0", formula=other_formula),
        "the formula of 2.99.0 is not that of 2.0.0",
    ),
    (
        formulas_change_with_a_major_only,
        "a PATCH changed a formula",
        partial(with_formula, version="2.0.1", formula=other_formula),
        "the formula of 2.0.1 is not that of 2.0.0",
    ),
    (
        versions_before_this_one_are_frozen,
        "nobody froze the version before",
        lambda it: it._replace(released={}),
        "2.0.0 has no fingerprints",
    ),
    (
        every_major_is_complete,
        "APP_VERSION was bumped alone",
        lambda it: it._replace(app_version=LATER),
        f"{NEXT} has no entry in FORMULAS",
    ),
    (
        every_version_is_described,
        "APP_VERSION was bumped by a MINOR alone",
        lambda it: it._replace(app_version=MINOR),
        f"VERSIONING.md lacks {MINOR}",
    ),
    (
        the_current_version_is_the_newest,
        "APP_VERSION was not bumped",
        partial(with_formula, version=LATER, formula=OUR_FORMULA),
        f"{LATER} is newer",
    ),
    (
        the_current_version_is_the_newest,
        "10 is more than 9",
        partial(with_formula, version=LONGER, formula=OUR_FORMULA),
        f"{LONGER} is newer",
    ),
    (
        the_current_version_is_the_newest,
        "a migration leads beyond",
        lambda it: it._replace(migrations=(*it.migrations, TO_NEXT)),
        f"{NEXT} is newer",
    ),
    (
        every_major_is_complete,
        "no migration",
        lambda it: a_whole_major(it)._replace(migrations=it.migrations),
        f"{NEXT} has no entry in safe_migrations.MIGRATIONS",
    ),
    (
        every_major_is_complete,
        "no function",
        lambda it: a_whole_major(it)._replace(migration_functions=it.migration_functions),
        f"{NEXT} has no migrate_to_version_{NEXT.replace('.', '_')}",
    ),
    (
        every_major_is_complete,
        "no golden database",
        lambda it: a_whole_major(it)._replace(databases=it.databases),
        f"{NEXT} has no golden database {NEXT}.db",
    ),
    (
        every_major_is_complete,
        "no words",
        lambda it: a_whole_major(it)._replace(versioning=it.versioning),
        f"{NEXT} has no entry in VERSIONING.md",
    ),
    (
        every_major_is_complete,
        "a MINOR without its MAJOR",
        partial(with_formula, version=NEXT.replace(".0.0", ".1.0"), formula=OUR_FORMULA),
        f"{NEXT} has no entry in FORMULAS",
    ),
    (
        migrations_are_in_order,
        "the newer first",
        lambda it: it._replace(migrations=(TO_NEXT, *it.migrations)),
        "not in the order of versions",
    ),
    (
        migrations_are_in_order,
        "as text",
        lambda it: it._replace(migrations=(OURS._replace(version="10.0.0"), OURS._replace(version="9.0.0"))),
        "not in the order of versions",
    ),
    (
        migrations_are_in_order,
        "one twice",
        lambda it: it._replace(migrations=(OURS, OURS)),
        "not in the order of versions",
    ),
    (
        migrations_are_in_order,
        "to a MINOR",
        lambda it: it._replace(migrations=(OURS, OURS._replace(version="2.1.0"))),
        "2.1.0 is no MAJOR",
    ),
    (
        released_migrations_stay,
        "another formula",
        partial(edited, changes=OURS.changes[:1]),
        "the migration to 2.0.0 was released and has changed",
    ),
    (
        released_migrations_stay,
        "another expression",
        partial(edited, changes=(ColumnChange("tokens_per_second", "1.0"), *OURS.changes[1:])),
        "the migration to 2.0.0 was released and has changed",
    ),
    (
        released_migrations_stay,
        "another reason",
        partial(edited, gaps=OURS.gaps[1:]),
        "the migration to 2.0.0 was released and has changed",
    ),
    (
        released_migrations_stay,
        "removed",
        lambda it: released_today(it)._replace(migrations=()),
        "the migration to 2.0.0 was released and has changed",
    ),
    (
        released_schema_steps_stay,
        "one was edited",
        lambda it: it._replace(steps={**it.steps, "0001_first": "another"}),
        "the schema step 0001_first was released and has changed",
    ),
    (
        released_schema_steps_stay,
        "one was removed",
        lambda it: it._replace(steps={name: it.steps[name] for name in list(it.steps)[1:]}),
        "the schema step 0001_first was released and has changed",
    ),
    (
        golden_databases_stay,
        "one was written to",
        lambda it: it._replace(databases={**it.databases, "2.0.0.db": "0"}),
        "the database 2.0.0.db was released and has changed",
    ),
    (
        golden_databases_stay,
        "one is gone",
        lambda it: it._replace(databases=without(it.databases, "2.0.0.db")),
        "the database 2.0.0.db was released and has changed",
    ),
    (
        released_error_types_stay,
        "a type came after its version was released",
        partial(with_error_type, since="4.1.0"),
        "what error types 4.1.0 was released and has changed",
    ),
    (
        released_error_types_stay,
        "a released type recognises more",
        lambda it: with_error_type(released_today(with_error_type(it, since=APP_VERSION)), words=("more",)),
        f"what error types {APP_VERSION} was released and has changed",
    ),
    (
        released_error_types_stay,
        "a type of the future",
        with_error_type,
        f"odd_tongue is since {MINOR}, which is newer than {APP_VERSION}",
    ),
    (
        released_counts_stay,
        "a sample of the reports was edited",
        lambda it: released_today(it)._replace(reports=[it.reports[0].replace("120", "121"), *it.reports[1:]]),
        "what is counted of openai_chat was released and has changed",
    ),
    (
        released_counts_stay,
        "a dialect is gone, or counts no more",
        lambda it: it._replace(
            released={**it.released, it.app_version: structs.replace(FROZEN, counts={"of_old": "0", **FROZEN.counts})}
        ),
        "what is counted of of_old was released and has changed",
    ),
    (
        new_error_types_move_no_older_record,
        "a MINOR takes what servers say already",
        partial(with_error_type, words=("server_error",)),
        f"older records that are internal would be odd_tongue since {MINOR}: that needs a new MAJOR",
    ),
    (
        new_error_types_move_no_older_record,
        "a MINOR takes what a released program stored",
        partial(with_error_type, texts=("simulated",)),
        f"would be odd_tongue since {MINOR}: that needs a new MAJOR",
    ),
    (
        new_error_types_move_no_older_record,
        "a MAJOR leaves older records as they are",
        lambda it: with_error_type(a_whole_major(it), since=NEXT, words=("server_error",)),
        f"the migration to {NEXT} does not make odd_tongue of what was internal",
    ),
    (
        migrations_compute_what_the_formulas_do,
        "the formula is another",
        partial(with_formula, version="2.0.0", formula=other_formula),
        "the migration to 2.0.0 and its formula differ",
    ),
    (
        migrations_compute_what_the_formulas_do,
        "the migration is another",
        partial(edited, oracle=oracle_of_1_0_0),
        "the migration to 2.0.0 and its formula differ",
    ),
    (
        every_version_is_described,
        "no words for a version",
        partial(with_formula, version=LATER, formula=OUR_FORMULA),
        f"VERSIONING.md lacks {LATER}",
    ),
    (
        every_version_is_described,
        "a version named in passing",
        lambda it: with_formula(it, LATER, OUR_FORMULA)._replace(versioning=f"### {LATER}0\nas {LATER}"),
        f"VERSIONING.md lacks {LATER}",
    ),
    (
        every_version_is_described,
        "the changelog was forgotten",
        lambda it: it._replace(app_version=LATER),
        f"the changelog does not begin with {LATER}",
    ),
    (
        every_version_is_described,
        "the changelog is empty",
        lambda it: it._replace(changelog=""),
        f"the changelog does not begin with {APP_VERSION}",
    ),
)


@pytest.mark.parametrize(
    ("check", "doctor", "complaint"),
    [pytest.param(check, doctor, text, id=f"{check.__name__}: {story}") for check, story, doctor, text in DOCTORED],
)
def test_a_check_sees_what_a_doctor_did(check: Check, doctor: Callable[[Sources], Sources], complaint: str) -> None:
    assert any(complaint in line for line in check(doctor(sources())))


def test_every_check_has_been_shown_to_fail() -> None:
    assert {check for check, *_ in DOCTORED} == set(CHECKS)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_new_major_with_all_it_needs_passes(check: Check) -> None:
    assert check(a_whole_major(sources())) == []


def test_a_released_version_cannot_be_frozen_as_something_else() -> None:
    whole = msgspec.structs.replace(FROZEN, databases={f"{APP_VERSION}.db": "0"})
    known = fingerprint.freeze({}, APP_VERSION, whole)
    assert known == {APP_VERSION: whole} == fingerprint.freeze(known, APP_VERSION, whole)
    with pytest.raises(ValueError, match=r"was released, and is not what it was"):
        fingerprint.freeze(known, APP_VERSION, msgspec.structs.replace(whole, formula="0"))


def test_a_version_without_its_database_cannot_be_frozen() -> None:
    with pytest.raises(ValueError, match=r"has no golden database: run `make golden`"):
        fingerprint.freeze({}, APP_VERSION, msgspec.structs.replace(FROZEN, databases={"2.0.0.db": "0"}))


def test_the_fingerprint_sees_every_fact_that_a_formula_may_look_at() -> None:
    numbers = {"total_tokens", "response_time_ms", "completion_tokens", "prompt_tokens", "time_to_first_token_ms"}
    for name in numbers | {"time_to_last_token_ms", "is_streaming", "reasoning_tokens"}:
        assert len({getattr(record, name) for record in fingerprint.inputs()}) > 1, name
        peeks = fingerprint.formula_fingerprint(lambda record, name=name: (getattr(record, name),))  # type: ignore[misc]
        assert peeks != FROZEN.formula
