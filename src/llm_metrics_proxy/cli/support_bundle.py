"""``support-bundle``: one file for a bug report, without secrets, names or anything that users wrote."""

import io
import os
import zipfile
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import apsw
import msgspec
import typer

from llm_metrics_proxy.cli.flags import GivenSettings, Json, with_flags
from llm_metrics_proxy.cli.output import console, plain, print_json
from llm_metrics_proxy.cli.support.known import machine, names_in, names_of, secrets_of, texts_of_file, vocabulary
from llm_metrics_proxy.cli.support.parts import PARTS, BundlePart, BundleSubject
from llm_metrics_proxy.cli.support.redaction import Redactor
from llm_metrics_proxy.cli.tables import print_table, table
from llm_metrics_proxy.cli.written import Force, written
from llm_metrics_proxy.config.settings import ENV_PREFIX
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.config.store_access import store_access
from llm_metrics_proxy.config.table import CONFIG_ENVIRONMENT
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.processes.config_faults import examined
from llm_metrics_proxy.storage.sqlite import SqliteReader

README: Final = "README.txt"
_MODE: Final = 0o600
_QUERY_LIMIT_S: Final = 20.0


class Packed(NamedTuple):
    """One file of a bundle. ``missing``: why there is none."""

    part: BundlePart
    content: bytes
    missing: str | None


@with_flags()
def support_bundle(
    given: GivenSettings,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to. [default: a name with the time, in this folder]"
        ),
    ] = None,
    log: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A file with the log. [default: what systemd has]", show_default=False),
    ] = None,
    lines: Annotated[int, typer.Option(min=0, max=100_000, help="How many lines of each log.")] = 2_000,
    force: Force = False,
    json: Json = False,
) -> None:
    """Pack what helps to find a fault into one zip file, and say what it holds. Nothing is sent.

    It has no secret, no key, nothing of prompts and answers, and no name of users, models, hosts or backends: only the
    program's own words, numbers and times pass; every other word has a number in its place. It works without a running
    process, and with settings that cannot be used. A name that nobody gave in the settings and that is made of the
    program's own words stays.
    """
    seen = examined(given.flags, os.environ, given.config_file)
    subject = BundleSubject(seen.loaded, [str(each) for each in seen.faults], log or [], lines)
    redactor = _redactor(seen.loaded, given)
    packed = [_packed(part, subject, redactor) for part in PARTS]
    made_at = datetime.now(UTC)
    target = output or Path(f"llm-metrics-proxy-support-{made_at:%Y%m%dT%H%M%SZ}.zip")
    with written(str(target), force=force, mode=_MODE) as stream:
        stream.write(_zipped(packed, made_at))
    if json:
        held = [{"name": each.part.name, "bytes": len(each.content), "missing": each.missing} for each in packed]
        print_json({"file": str(target), "app_version": APP_VERSION, "parts": held})
    else:
        _print(target, packed)


def _redactor(loaded: Loaded | None, given: GivenSettings) -> Redactor:
    """With all that is known here; with settings that cannot be used, what was given is taken for a secret."""
    if loaded is None:
        secrets = {str(value) for value in given.flags.values()}
        secrets |= {value for name, value in os.environ.items() if name.startswith(ENV_PREFIX)}
        file = given.config_file or os.environ.get(CONFIG_ENVIRONMENT)
        secrets |= texts_of_file(Path(file), os.environ) if file else set()
        return Redactor(vocabulary(), secrets, machine())
    names = names_of(loaded)
    with suppress(LlmMetricsProxyError, apsw.Error, OSError):
        if loaded.settings.db_path.exists():
            with closing(SqliteReader(loaded.settings.db_path)) as reader:
                records = open_records(reader, store_access(loaded.settings), timeout_s=_QUERY_LIMIT_S)
                with closing(records):
                    names |= names_in(records)
    return Redactor(vocabulary(), secrets_of(loaded), names)


def _packed(part: BundlePart, subject: BundleSubject, redactor: Redactor) -> Packed:
    try:
        made = part.make(subject)
    except (LlmMetricsProxyError, apsw.Error, OSError, msgspec.MsgspecError) as error:
        reason = redactor.text(str(error))
        return Packed(part, reason.encode(), reason)
    return Packed(part, _encoded(made, redactor), None)


def _encoded(made: Any, redactor: Redactor) -> bytes:
    if isinstance(made, str):
        return redactor.text(made).encode()
    return msgspec.json.format(msgspec.json.encode(redactor.value(made)), indent=2)


def _zipped(packed: list[Packed], made_at: datetime) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in [(README, _readme(packed, made_at).encode()), *((p.part.name, p.content) for p in packed)]:
            entry = zipfile.ZipInfo(name, made_at.timetuple()[:6])
            entry.external_attr = _MODE << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()


def _readme(packed: list[Packed], made_at: datetime) -> str:
    held = "\n".join(f"{each.part.name:<16} {each.missing or each.part.holds}" for each in packed)
    return (
        f"Support bundle of LLM Metrics Proxy {APP_VERSION}, made at {made_at:%Y-%m-%d %H:%M:%S} UTC.\n\n{held}\n\n"
        "Not in it: secrets, keys, prompts, answers, records, and names of users, models, hosts and backends.\n"
        "A word that is not the program's own has a number in its place, such as <7>, the same word always the same.\n"
        "Addresses other than loopback are <address>. Look through it before you give it away; it is text.\n"
    )


def _print(target: Path, packed: list[Packed]) -> None:
    out = console()
    out.print(f"Wrote {plain(target)}, which only you can read. Nothing was sent. It holds:", soft_wrap=True)
    shown = table("file", "bytes", "what", numbers=("bytes",))
    for each in packed:
        what = plain(each.part.holds) if each.missing is None else f"[yellow]{plain(each.missing)}[/]"
        shown.add_row(each.part.name, f"{len(each.content):,}", what)
    print_table(out, shown)
    out.print("No secrets, prompts or names are in it. Look through it before you give it away.", soft_wrap=True)
