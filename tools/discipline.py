"""The discipline of versions: what was released stays as it was, and what changes says so.

Every check is a function from plain values to a list of complaints, so that ``tests/architecture/test_discipline.py``
can run it on the sources, which must give none, and on doctored copies, which must give the right one.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from semver import Version

from llm_metrics_proxy import safe_migrations
from llm_metrics_proxy.metrics_service import APP_VERSION, FORMULAS, Formula, formula_of
from llm_metrics_proxy.migration.model import Migration
from llm_metrics_proxy.record import BY_FORMULA
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage.sqlite_schema import known_steps
from llm_metrics_proxy.wire.error_taxonomy import classify, taxonomy_of
from llm_metrics_proxy.wire.error_types import FIRST, TAXONOMY, ErrorType
from tools import fingerprint
from tools.fingerprint import ROOT, Released


class Sources(NamedTuple):
    """All that the checks look at."""

    app_version: str
    formulas: Mapping[str, Formula]  # of every version
    entries: frozenset[str]  # versions in FORMULAS; the others calculate by the newest one before them
    error_types: Sequence[ErrorType]
    reports: Sequence[str]  # what servers report of their usage
    migrations: Sequence[Migration]
    migration_functions: frozenset[str]  # names of functions in safe_migrations.py
    steps: Mapping[str, str]  # checksum by number and name
    databases: Mapping[str, str]  # SHA-256 by file name
    released: Mapping[str, Released]
    versioning: str  # the page
    changelog: str


def sources() -> Sources:
    """As they are."""
    versioning = (ROOT / "VERSIONING.md").read_text(encoding="utf-8")
    released = fingerprint.released()
    return Sources(
        app_version=APP_VERSION,
        formulas={each: formula_of(each) for each in {*FORMULAS, *released, *described(versioning), APP_VERSION}},
        entries=frozenset(FORMULAS),
        error_types=TAXONOMY,
        reports=fingerprint.sample_reports(),
        migrations=MIGRATIONS,
        migration_functions=frozenset(name for name in vars(safe_migrations) if name.startswith("migrate_to_version_")),
        steps=known_steps(),
        databases=fingerprint.files(fingerprint.GOLDEN, "*.db"),
        released=released,
        versioning=versioning,
        changelog=(ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
    )


def described(versioning: str) -> list[str]:
    """Versions that have an entry in the page; 1.x was another code base."""
    return [
        each for each in re.findall(r"^### (\d+\.\d+\.\d+)$", versioning, re.MULTILINE) if not each.startswith("1.")
    ]


def changed(kind: str, then: Mapping[str, str], now: Mapping[str, str], remedy: str) -> list[str]:
    """Things that were released and are not what they were, or not there any more."""
    return [f"{kind} {name} was released and has changed: {remedy}" for name in then if now.get(name) != then[name]]


def released_formulas_stay(it: Sources) -> list[str]:
    """A formula is never edited."""
    then = {version: frozen.formula for version, frozen in it.released.items()}
    now = {version: fingerprint.formula_fingerprint(formula) for version, formula in it.formulas.items()}
    return changed("the formula of", then, now, "add another one to FORMULAS, with a new MAJOR")


def formulas_change_with_a_major_only(it: Sources) -> list[str]:
    """Within one MAJOR all versions calculate alike."""
    first: dict[int, tuple[str, str]] = {}
    complaints = []
    for version in sorted(it.formulas, key=Version.parse):
        now = fingerprint.formula_fingerprint(it.formulas[version])
        older, then = first.setdefault(Version.parse(version).major, (version, now))
        if now != then:
            complaints.append(f"the formula of {version} is not that of {older}: it needs a new MAJOR")
    return complaints


def versions_before_this_one_are_frozen(it: Sources) -> list[str]:
    """Whatever shipped has fingerprints; only the current version may still be in the making."""
    missing = [version for version in it.formulas if version != it.app_version and version not in it.released]
    return [f"{version} has no fingerprints: `make freeze` before a version ships" for version in missing]


def the_current_version_is_the_newest(it: Sources) -> list[str]:
    """Nothing newer is there or was released."""
    known = {it.app_version, *it.formulas, *it.released, *(migration.version for migration in it.migrations)}
    newest = max(known, key=Version.parse)
    return [] if newest == it.app_version else [f"APP_VERSION is {it.app_version}, and {newest} is newer"]


def majors(versions: Iterable[str]) -> list[str]:
    """The first version of every MAJOR from 2 on: 1.x was another code base."""
    return [f"{major}.0.0" for major in sorted({Version.parse(version).major for version in versions}) if major >= 2]


def every_major_is_complete(it: Sources) -> list[str]:
    """A formula, a migration of its own, a database of it for later versions, and words for people."""
    complaints = []
    targets = [migration.version for migration in it.migrations]
    for version in majors({*it.formulas, it.app_version}):
        function = f"migrate_to_version_{version.replace('.', '_')}"
        wanted = {
            "entry in FORMULAS": version in it.entries,
            f"{function} in safe_migrations.py": function in it.migration_functions,
            "entry in safe_migrations.MIGRATIONS": version in targets,
            f"golden database {version}.db: run `make golden`": f"{version}.db" in it.databases,
            "entry in VERSIONING.md": version in described(it.versioning),
        }
        complaints += [f"{version} has no {what}" for what, is_there in wanted.items() if not is_there]
    return complaints


def migrations_are_in_order(it: Sources) -> list[str]:
    """Each to a MAJOR, oldest first, none twice."""
    targets = [migration.version for migration in it.migrations]
    ordered = sorted(set(targets), key=Version.parse)
    complaints = [] if targets == ordered else [f"MIGRATIONS are not in the order of versions: {targets}"]
    return complaints + [f"{target} is no MAJOR" for target in targets if target not in majors([target])]


def released_migrations_stay(it: Sources) -> list[str]:
    """An edit would leave records of one version that were calculated in two ways."""
    now = {migration.version: migration.checksum for migration in it.migrations}
    then = {name: digest for frozen in it.released.values() for name, digest in frozen.migrations.items()}
    return changed("the migration to", then, now, "correct it by a new MAJOR")


def released_schema_steps_stay(it: Sources) -> list[str]:
    """Every database that a step was applied to has its checksum, and would be refused."""
    then = {name: digest for frozen in it.released.values() for name, digest in frozen.schema_steps.items()}
    return changed("the schema step", then, it.steps, "add another step instead")


def golden_databases_stay(it: Sources) -> list[str]:
    """They stand for what is out in the world."""
    then = {name: digest for frozen in it.released.values() for name, digest in frozen.databases.items()}
    return changed("the database", then, it.databases, "take it back from history")


def released_error_types_stay(it: Sources) -> list[str]:
    """A version classifies for good as it did; what is new begins with the version that is in the making."""
    complaints = [
        f"{each.type} is since {each.since}, which is newer than {it.app_version}"
        for each in it.error_types
        if Version.parse(each.since) > it.app_version
    ]
    first = fingerprint.error_types_fingerprint(FIRST, it.error_types)
    then = {
        version: frozen.error_types or first for version, frozen in it.released.items() if not version.startswith("2.")
    }
    now = {version: fingerprint.error_types_fingerprint(version, it.error_types) for version in then}
    return complaints + changed(
        "what error types", then, now, "a new or another row is `since` the version in the making"
    )


def released_counts_stay(it: Sources) -> list[str]:
    """Within one MAJOR a dialect counts alike: to count otherwise needs a migration, which counts older records again
    from what was reported."""
    complaints = []
    major = Version.parse(it.app_version).major
    for version, frozen in it.released.items():
        if Version.parse(version).major == major and frozen.counts:
            now = fingerprint.counts_fingerprints(it.reports[: frozen.reports])
            complaints += changed("what is counted of", frozen.counts, now, "count otherwise with a new MAJOR")
    return complaints


def new_error_types_move_no_older_record(it: Sources) -> list[str]:
    """A type that takes records from another one needs a MAJOR, whose migration moves the older ones."""
    complaints = []
    for since in sorted({each.since for each in it.error_types} - {FIRST}, key=Version.parse):
        before = [each for each in it.error_types if Version.parse(each.since) < since]
        then, now = taxonomy_of(since, before), taxonomy_of(since, it.error_types)
        moved = {(classify(facts, then).type, classify(facts, now).type) for facts in fingerprint.failures(then)}
        for was, would_be in sorted((str(was), str(becomes)) for was, becomes in moved if was != becomes):
            writes = {change.column for each in it.migrations if each.version == since for change in each.changes}
            if since not in majors([since]):
                complaints.append(
                    f"older records that are {was} would be {would_be} since {since}: that needs a new MAJOR"
                )
            elif "error_type" not in writes:
                complaints.append(f"the migration to {since} does not make {would_be} of what was {was}")
    return complaints


def migrations_compute_what_the_formulas_do(it: Sources) -> list[str]:
    """A migrated record and a new one mean the same. The two are written apart; here they meet."""
    complaints = []
    for before, migration in zip([None, *it.migrations], it.migrations, strict=False):
        written = [change.column for change in migration.changes]
        shared = [name for name in BY_FORMULA if name in written]
        for record in fingerprint.inputs():
            live = dict(zip(BY_FORMULA, it.formulas[migration.version](record), strict=False))
            older = {} if before is None else dict(zip(BY_FORMULA, it.formulas[before.version](record), strict=False))
            values = [older.get(name, getattr(record, name, None)) for name in migration.inputs]
            migrated = dict(zip(written, migration.oracle(*values), strict=False))
            if [live.get(name) for name in shared] != [migrated[name] for name in shared]:
                complaints.append(f"the migration to {migration.version} and its formula differ for {record}")
                break
    return complaints


def every_version_is_described(it: Sources) -> list[str]:
    """In VERSIONING.md each version; in the changelog the current one, and first."""
    there = described(it.versioning)
    missing = sorted({*it.formulas, it.app_version} - {*there}, key=Version.parse)
    complaints = [f"VERSIONING.md lacks {version}" for version in missing]
    newest = re.search(r"^## (\S+)", it.changelog, re.MULTILINE)
    if newest is None or newest[1] != it.app_version:
        complaints.append(f"the changelog does not begin with {it.app_version}")
    return complaints


Check = Callable[[Sources], list[str]]
CHECKS: Final[tuple[Check, ...]] = (
    released_formulas_stay,
    formulas_change_with_a_major_only,
    versions_before_this_one_are_frozen,
    the_current_version_is_the_newest,
    every_major_is_complete,
    migrations_are_in_order,
    released_migrations_stay,
    released_schema_steps_stay,
    golden_databases_stay,
    released_error_types_stay,
    released_counts_stay,
    new_error_types_move_no_older_record,
    migrations_compute_what_the_formulas_do,
    every_version_is_described,
)
