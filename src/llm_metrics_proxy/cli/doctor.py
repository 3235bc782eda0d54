"""``doctor``: checks the installation and says how to fix what it finds."""

from collections.abc import Sequence
from typing import Annotated, Final

import typer

from llm_metrics_proxy.cli import rollup_checks
from llm_metrics_proxy.cli.checks import CHECKS
from llm_metrics_proxy.cli.finding import CheckStatus, Finding, ok
from llm_metrics_proxy.cli.flags import with_settings
from llm_metrics_proxy.cli.output import console, plain, print_json
from llm_metrics_proxy.cli.tables import print_table, table
from llm_metrics_proxy.config.sources import DEFAULT, Loaded, settings_table
from llm_metrics_proxy.metrics_service import APP_VERSION

_MARKS: Final = {
    CheckStatus.OK: "[green]ok[/]",
    CheckStatus.WARNING: "[yellow]warning[/]",
    CheckStatus.FAILED: "[bold red]FAILED[/]",
}


@with_settings()
def doctor(
    loaded: Loaded,
    *,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also make the roll-ups of some days again, and compare them.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, with every setting.")] = False,
) -> None:
    """Check configuration, backend, database, journal, disk, clock, ports and limits; exit 1 if a check fails."""
    findings = [check(loaded.settings) for check in (*CHECKS, *((rollup_checks.rollups,) if deep else ()))]
    if loaded.links:
        findings.append(_links(loaded.links))
    if json:
        ok = not any(finding.status is CheckStatus.FAILED for finding in findings)
        settings = {row["name"]: {"value": row["value"], "origin": row["origin"]} for row in settings_table(loaded)}
        print_json({"ok": ok, "app_version": APP_VERSION, "findings": findings, "settings": settings})
    else:
        _print(loaded, findings)
    if any(finding.status is CheckStatus.FAILED for finding in findings):
        raise typer.Exit(1)


def _links(names: Sequence[str]) -> Finding:
    found = f"{len(names)} variables describe neighbouring services, so they are not settings: {', '.join(names)}"
    return ok("links", found, "nothing; enableServiceLinks: false in the pod keeps them away")


def _print(loaded: Loaded, findings: list[Finding]) -> None:
    out = console()
    settings = table("setting", "value", "from")
    for row in settings_table(loaded):
        style = "dim" if row["origin"] == DEFAULT else None
        settings.add_row(row["name"], plain(row["value"]), plain(row["origin"]), style=style)
    print_table(out, settings)
    out.print()
    checks = table("check", "", "found, and what to do")
    for finding in findings:
        advice = f"\n→ {plain(finding.advice)}" if finding.advice else ""
        checks.add_row(finding.check, _MARKS[finding.status], plain(finding.found) + advice)
    print_table(out, checks)
