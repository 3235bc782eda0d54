"""Whether a run that was interrupted was begun by this code.

A run stores the checksum of every migration in it. Where this program has another checksum under the same version,
its formulas are not those that calculated what was carried over, which is then removed and done again.
"""

from collections.abc import Sequence

from llm_metrics_proxy.errors import MigrationRefusedError
from llm_metrics_proxy.migration.model import Migration, Run, chain_checksum


def known_checksums(run: Run, migrations: Sequence[Migration]) -> dict[str, str]:
    """This program's checksums of the versions in a run; empty for one it does not know. Equal: the same code."""
    known = chain_checksum(migrations)
    return {version: known.get(version, "") for version in run.checksums}


def refuse_unknown(run: Run, migrations: Sequence[Migration], app_version: str) -> None:
    """Raise ``MigrationRefusedError`` if the run has a version that only another program can go on with."""
    unknown = [version for version, checksum in known_checksums(run, migrations).items() if not checksum]
    if unknown:
        raise MigrationRefusedError(
            f"Run {run.id} to {', '.join(unknown)} was begun by {run.app_version}, and {app_version} does not know "
            "that version. Start the program that began it, or a newer one; nothing was changed."
        )
