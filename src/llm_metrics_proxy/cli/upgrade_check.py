"""``upgrade-check``: what another version would change here: records, time, disk, settings, behaviour."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import typer
from rich.console import Console
from semver import Version

from llm_metrics_proxy.cli.flags import READING, Json, with_settings
from llm_metrics_proxy.cli.migrate_progress import shown as progress_shown
from llm_metrics_proxy.cli.output import console, duration, plain, print_json
from llm_metrics_proxy.config.sources import DEFAULT, Loaded
from llm_metrics_proxy.config.store_access import store_access
from llm_metrics_proxy.config.toml_tables import TOML_TABLES
from llm_metrics_proxy.engines import open_migrations
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration import planner
from llm_metrics_proxy.migration.model import Migration
from llm_metrics_proxy.migration.plan import MigrationPlan
from llm_metrics_proxy.processes import release
from llm_metrics_proxy.processes.release import NumberNote, ReleaseFacts, ReleaseNote, SettingChanges
from llm_metrics_proxy.safe_migrations import MIGRATIONS

_SAMPLE: Final = 20_000
_OLDEST: Final = "0.0.0"


class UpgradeFindings(NamedTuple):
    """``obstacles``: what has to be done first, one line each. ``since``: the version whose records are here."""

    after: ReleaseFacts
    since: str
    plan: MigrationPlan | None
    settings: SettingChanges
    new_steps: tuple[str, ...]
    notes: list[ReleaseNote]
    numbers: list[NumberNote]
    obstacles: list[str]


@with_settings(*READING, "backup_dir")
def upgrade_check(
    loaded: Loaded,
    *,
    wheel: Annotated[
        Path | None,
        typer.Argument(help="A wheel of the other version; without one, this version is held against the database."),
    ] = None,
    json: Json = False,
) -> None:
    """Say what another version would change here: records to migrate, time, disk, settings, behaviour. Writes nothing.

    Nothing of the wheel is run. Exit codes: 0 nothing is in the way, 1 something has to be done first.
    """
    found = _findings(loaded, release.of_this_program() if wheel is None else release.of_wheel(wheel), wheel=wheel)
    if json:
        print_json(_as_json(found))
    else:
        _print(found)
    if found.obstacles:
        raise typer.Exit(1)


def _findings(loaded: Loaded, after: ReleaseFacts, *, wheel: Path | None) -> UpgradeFindings:
    before = release.of_this_program()
    obstacles = _python(after)
    plan, since = None, APP_VERSION
    try:
        plan = _plan(loaded, after)
        since = _oldest(plan) if wheel is None else APP_VERSION
    except LlmMetricsProxyError as error:
        obstacles.append(f"the database: {error}")
    if plan is not None and plan.refusal is not None:
        obstacles.append(f"the database: {plan.refusal}")
    settings = release.setting_changes(before, after, _in_use(loaded))
    for name, meant in settings.gone_in_use.items():
        what = f"the setting {name} ({loaded.origins[name.partition('.')[0]]}) is not known to {after.version} any more"
        obstacles.append(f"{what}: {f'it may be {meant} now' if meant else 'take it away'}")
    notes, numbers = release.between(after, since)
    new_steps = tuple(step for step in after.schema_steps if step not in before.schema_steps)
    return UpgradeFindings(after, since, plan, settings, new_steps, notes, numbers, obstacles)


def _python(after: ReleaseFacts) -> list[str]:
    least = re.fullmatch(r">=\s*(\d+)\.(\d+)", after.requires_python)
    if least is None or sys.version_info[:2] >= (int(least[1]), int(least[2])):
        return []
    here = ".".join(map(str, sys.version_info[:2]))
    return [f"Python {here} runs this; {after.version} needs {after.requires_python}"]


def _plan(loaded: Loaded, after: ReleaseFacts) -> MigrationPlan:
    """By the planner of a real migration. What this program does not know has a stand-in: the work of carrying records
    over is nearly the same whatever is calculated."""
    known = {each.version: each for each in MIGRATIONS}
    migrations = [_stand_in(each.version, each.summary) if each.version not in known else known[each.version]
                  for each in after.migrations]  # fmt: skip
    access = store_access(loaded.settings)
    if access is not None:
        return planner.without_sample(str(access.address), open_migrations(access, migrations).status(), migrations)
    with progress_shown() as report:
        return planner.plan(
            loaded.settings.db_path.absolute(),
            backup_dir=loaded.settings.backup_dir.absolute(),
            migrations=migrations,
            app_version=after.version,
            sample_records=_SAMPLE,
            report=report,
        )


def _stand_in(version: str, summary: str) -> Migration:
    return MIGRATIONS[-1]._replace(version=version, summary=summary)


def _oldest(plan: MigrationPlan) -> str:
    """The oldest version whose records are here, so that all that has changed since is told."""
    found = [each.stamp for each in plan.stamps if Version.is_valid(each.stamp)]
    return str(min(map(Version.parse, found))) if found else APP_VERSION


def _in_use(loaded: Loaded) -> list[str]:
    given = [name for name, origin in loaded.origins.items() if origin != DEFAULT]
    for table in TOML_TABLES:
        keys = {key for each in getattr(loaded.settings, table) for key in each.model_fields_set}
        given += [f"{table}.{key}" for key in sorted(keys)]
    return given


def _as_json(found: UpgradeFindings) -> dict[str, Any]:
    plan = found.plan
    return {
        "app_version": APP_VERSION,
        "to_version": found.after.version,
        "since": found.since,
        "obstacles": found.obstacles,
        "requires_python": found.after.requires_python,
        "migration": None if plan is None or plan.nothing_to_do else {
            "versions": [each.version for each in plan.steps],
            "records": plan.records,
            "seconds": plan.estimate_s,
            "disk": msgspec.to_builtins(plan.disk),
        },
        "schema_steps": list(found.new_steps),
        "settings": msgspec.to_builtins(found.settings),
        "notes": msgspec.to_builtins(found.notes),
        "numbers": msgspec.to_builtins(found.numbers),
    }  # fmt: skip


def _print(found: UpgradeFindings) -> None:
    out = console()
    out.print(f"[bold]From {found.since} to {found.after.version}[/], looked at by {APP_VERSION}; nothing was changed.")
    _section(out, "To be done first", found.obstacles, style="bold red")
    _section(out, "Records", _of_records(found))
    _section(out, "Settings", _of_settings(found.settings))
    changed = [f"{note.version}: {text}" for note in found.notes for text in (*note.removed, *note.changed)]
    _section(out, "Works differently", changed)
    _section(
        out,
        "Numbers mean something else",
        [f"{note.version}: {text}" for note in found.numbers for text in note.breaking],
    )
    if not found.obstacles:
        out.print("[green]Nothing is in the way.[/]")


def _of_records(found: UpgradeFindings) -> list[str]:
    plan = found.plan
    if plan is None or plan.refusal is not None:
        return []
    lines = []
    if plan.nothing_to_do:
        lines.append("no migration: every record stays as it is")
    else:
        steps = (
            "; ".join(f"{each.version}: {each.summary}" for each in plan.steps) or "the rest of one that has not ended"
        )
        lines.append(f"{plan.records:,} records are carried over, while requests are served: {steps}")
        if plan.estimate_s is not None:
            lines.append(f"about {duration(plan.estimate_s)} on this machine, estimated from a sample")
        if plan.disk is not None:
            lines.append(f"disk: {plan.disk.parts()}; {plan.disk.lacking() or 'there is room'}")
        lines.append("the way back: `llm-metrics-proxy migrate undo` with that version, then this one again")
    if found.new_steps:
        lines.append(
            f"the database gets {len(found.new_steps)} schema steps at its first start: {', '.join(found.new_steps)}"
        )
    return lines


def _of_settings(changes: SettingChanges) -> list[str]:
    lines = [f"{name}: the default becomes {new} (now {old})" for name, (old, new) in changes.defaults.items()]
    if changes.gone:
        lines.append(f"gone, and not in use here: {', '.join(changes.gone)}")
    if changes.new:
        lines.append(f"new: {', '.join(changes.new)}")
    return lines


def _section(out: Console, title: str, lines: Sequence[str], *, style: str = "bold") -> None:
    if not lines:
        return
    out.print(f"\n[{style}]{title}[/]")
    for line in lines:
        out.print(f"  • {plain(line)}", soft_wrap=True)
