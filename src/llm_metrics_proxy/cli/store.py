"""``store``: move records from one store to another."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from llm_metrics_proxy.cli.flags import READING, Json, with_settings
from llm_metrics_proxy.cli.migrate_progress import stoppable
from llm_metrics_proxy.cli.output import console, plain, print_json
from llm_metrics_proxy.cli.tables import lines
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.config.store_access import store_password
from llm_metrics_proxy.engines import copy_records
from llm_metrics_proxy.engines.moving import Moved
from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.batches import ProgressReporter
from llm_metrics_proxy.migration.model import Report, WorkPhase
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.store_address import FORM, SQLITE, StoreAccess, access_of, store_address

FAILED: Final = 1
_NO_HOST_SHOWN: Final = "(none)"

store = typer.Typer(
    name="store",
    help="Move records between the SQLite file and ClickHouse, while requests are served and recorded.\n\n"
    "Exit codes: 0 done, 1 failed or something differs, 2 wrong use, 3 refused, 130 stopped by Ctrl-C.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@store.callback()
def _group() -> None:
    """Keeps ``copy`` a verb of its own while it is the only one."""


@store.command("copy")
@with_settings(*READING)
def copy(
    loaded: Loaded,
    *,
    from_: Annotated[str, typer.Option("--from", metavar="STORE", help=f"{FORM}, or the path of a SQLite file.")],
    to: Annotated[str, typer.Option("--to", metavar="STORE", help="The other one, said in the same way.")],
    host: Annotated[
        list[str] | None, typer.Option("--host", help="Only records of this host; may be given several times.")
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option("--rename", metavar="OLD=NEW", help="What a host is called there; =NEW: records without a host."),
    ] = None,
    json: Json = False,
) -> None:
    """Copy records from a SQLite file to ClickHouse, or back, and compare all of them. What was there stays there.

    Each record arrives once, whatever is stopped or killed: run the same command again, and it goes on where it was, or
    fetches what has come since. `sqlite` is the file of `--db-path`. The password of ClickHouse is that of `store`.
    """
    settings = loaded.settings
    source, target = _place(settings, "--from", from_), _place(settings, "--to", to)
    if isinstance(source, Path) is isinstance(target, Path):
        raise SettingsError([f"--from {from_} --to {to}: one of the two is a SQLite file, the other one ClickHouse"])
    if isinstance(source, Path) and not source.exists():
        raise SettingsError([f"--from: no database at {source}"])
    names = _names(rename or [])
    began = time.monotonic()
    with stoppable() as (stop, report):
        moved = copy_records(
            source, target, hosts=host or [], names=names, formulas=MIGRATIONS[-1].version, stop=stop.event,
            report=_shown(report),
        )  # fmt: skip
    seconds = time.monotonic() - began
    shown = (_said(source), _said(target))
    if json:
        fields = {"from": shown[0], "to": shown[1], "seconds": round(seconds, 3), "result": moved}
        print_json({"app_version": APP_VERSION, **fields})
    else:
        _print(moved, *shown, seconds=seconds)
    if moved.differing:
        raise typer.Exit(FAILED)
    if stop.exit_code is not None and not moved.finished:
        raise typer.Exit(stop.exit_code)


def _place(settings: Settings, flag: str, text: str) -> Path | StoreAccess:
    if text.strip().lower() == SQLITE:
        return settings.db_path.absolute()
    if "://" not in text:
        return Path(text).expanduser().absolute()
    try:
        store_address(text)
    except ValueError as error:
        raise SettingsError([f"{flag} {text!r}: {error}; allowed: {FORM}, or a path"]) from error
    ca_file = None if settings.store_ca_file is None else str(settings.store_ca_file)
    access = access_of(text, store_password(settings), ca_file, settings.store_cluster)
    assert access is not None
    return access


def _names(given: list[str]) -> dict[str, str]:
    names = {}
    for each in given:
        old, sign, new = each.partition("=")
        if not sign or not new or not new.isascii() or not new.isprintable() or " " in new:
            raise SettingsError([f"--rename {each!r}: it has to be OLD=NEW; NEW has visible ASCII characters"])
        names[old] = new
    return names


def _said(place: Path | StoreAccess) -> str:
    return str(place) if isinstance(place, Path) else str(place.address)


def _shown(report: Report) -> Callable[[bool, int, int], None]:
    reporters: dict[bool, ProgressReporter] = {}

    def reported(verifies: bool, done: int, total: int) -> None:
        if verifies not in reporters:
            phase = WorkPhase.VERIFYING if verifies else WorkPhase.COPYING
            reporters[verifies] = ProgressReporter(report, phase, total)
        reporters[verifies].advance(done)

    return reported


def _print(moved: Moved, source: str, target: str, *, seconds: float) -> None:
    out = console()
    hosts = ", ".join(one or _NO_HOST_SHOWN for one in moved.hosts)
    if moved.differing:
        out.print(f"{moved.differing:,} records are not in {plain(target)} as they are in {plain(source)}:")
        for example in moved.examples:
            out.print(f"  {plain(example)}")
        out.print("Nothing was removed. Records that were repriced meanwhile differ; for all else, please report this.")
    elif not moved.finished:
        out.print(f"Stopped; {moved.copied:,} records were copied. Run the same command again to go on.")
    else:
        out.print(f"Done. {plain(target)} has the records of {plain(source)}, every column compared.")
    rows = [
        ("Hosts", plain(hosts or "none")),
        ("Copied", f"{moved.copied:,} of {moved.records:,} records, in {seconds:,.1f} s"),
        *((("There before", f"{moved.were_there:,}"),) if moved.were_there else ()),
        ("Compared", f"{moved.verified:,}" + (f", digest {moved.digest[:16]}" if moved.digest else "")),
        *((("Only there", f"{moved.gone:,}, no longer in {plain(source)}"),) if moved.gone else ()),
        *((("Expired", f"{moved.expired:,}, deleted there by its retention"),) if moved.expired else ()),
        *((("Waiting", f"{moved.waiting:,} in the outbox of the database file"),) if moved.waiting else ()),
    ]
    lines(out, rows)
