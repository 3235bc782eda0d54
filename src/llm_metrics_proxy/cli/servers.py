"""``servers``: is my box saturated? What servers say of themselves, beside what the proxy sees of them."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Final

import typer

from llm_metrics_proxy.cli.flags import READING, UnroundedJson, with_settings
from llm_metrics_proxy.cli.output import MISSING, console, percent, plain, print_json, rounded
from llm_metrics_proxy.cli.selection import moment, open_database
from llm_metrics_proxy.cli.tables import print_table, table
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.servers.report import Servers, ServersPort, ServersQuery, servers_report
from llm_metrics_proxy.servers.seen import Seen
from llm_metrics_proxy.storage.server_samples import read_samples

_NUMBERS: Final = {
    "running", "waiting", "waited", "KV cache", "open", "busy", "TTFT p50 ms", "TTFT p95 ms", "out tok/s", "used",
    "memory", "power W", "°C",
}  # fmt: skip
_GIB: Final = 1024**3


@with_settings(*READING)
def servers(
    loaded: Loaded,
    *,
    since: Annotated[
        str | None, typer.Option(help="From this moment on, ISO 8601 or an age such as 24h. [default: 1h]")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before this moment. [default: now]")] = None,
    json: UnroundedJson = False,
) -> None:
    """Is my box saturated? What each server said of its queue, KV cache and models, and the GPUs of this host, beside
    the open requests and first tokens that the proxy saw. The metrics process asks the servers; this shows what it
    kept, up to its last whole minute."""
    now = datetime.now(UTC)
    query = ServersQuery(moment(since, "--since", now) or now - timedelta(hours=1), moment(until, "--until", now))
    with open_database(loaded) as (records, control):
        ports = ServersPort(Seen, partial(read_samples, control), loaded.settings.host_name)
        result = servers_report(records, ports, query, now)
    (print_json if json else print_servers)(result)


def print_servers(result: Servers) -> None:
    """A sentence for each server, then the numbers; missing is a dash, never 0."""
    out = console()
    if not result.servers and not result.gpus:
        out.print(
            "No server has said anything in this range: see docs/topics/servers.md for what each of them needs.",
            soft_wrap=True,
        )
        return
    for server in result.servers:
        out.print(f"[bold]{plain(server.name)}[/]  {plain(server.verdict.sentence)}", soft_wrap=True)
    shown = table(
        "server", "running", "waiting", "waited", "KV cache", "open", "busy", "TTFT p50 ms", "TTFT p95 ms", "out tok/s",
        "models", numbers=_NUMBERS, whole=("server",), gap_above=True,
    )  # fmt: skip
    for server in result.servers:
        it = server.totals
        shown.add_row(
            plain(server.name),
            *(rounded(it.get(name)) for name in ("running_mean", "waiting_mean")),
            *(_share(it.get(name)) for name in ("waiting_high_share", "kv_cache_ratio_max")),
            rounded(it.get("open_requests_mean")),
            _share(it.get("busy_share")),
            *(rounded(it.get(f"first_token_{name}_ms")) for name in ("p50", "p95")),
            rounded(it.get("generation_tokens_per_second")),
            plain(", ".join(server.models_in_range)) or MISSING,
        )
    print_table(out, shown)
    if result.gpus:
        gpus = table("GPU", "used", "memory", "power W", "°C", numbers=_NUMBERS, whole=("GPU",), gap_above=True)
        for gpu in result.gpus:
            it = gpu.totals
            used, there = it.get("memory_used_bytes_max"), it.get("memory_bytes_max")
            memory = MISSING if used is None or there is None else f"{used / _GIB:.1f} of {there / _GIB:.1f} GiB"
            gpus.add_row(
                plain(gpu.name), _share(it.get("utilisation_ratio_mean")), memory, rounded(it.get("power_w_mean")),
                rounded(it.get("temperature_c_max")),
            )  # fmt: skip
        print_table(out, gpus)
    out.print(f"As host {plain(result.host)} asked, from {result.start:%Y-%m-%d %H:%M} to {result.end:%H:%M} UTC")


def _share(share: float | None) -> str:
    return MISSING if share is None else percent(share)
