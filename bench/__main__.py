"""``python -m bench``: run the benchmarks and print one table for each measure."""

import argparse
import itertools
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from bench import chunk_cpu, ingestion, latency, memory, summary, throughput
from bench.figures import Figure, Unavailable, alone, number
from bench.peers import PEERS
from bench.processes import TEST_CORE, pinned
from bench.run import Run, machine
from bench.targets import TARGETS, reached

_INGESTED_RECORDS: Final = {True: 40_000, False: 200_000}  # by --quick


def _ingestion(run: Run, folder: Path) -> list[Figure]:
    records = _INGESTED_RECORDS[run.seconds <= 1]
    rates = []
    for turn in range(min(run.pairs, 3)):
        run.say("ingestion")
        with pinned(TEST_CORE):
            rates.append(ingestion.measure(records, folder / str(turn)))
    what = f"ingestion without roll-ups, {records:,} records"
    return [alone("ingestion.ours", what, "records per second of CPU", rates)]


BENCHMARKS: Final[dict[str, Callable[[Run, Path], list[Figure]]]] = {
    "throughput": throughput.measure,
    "chunk_cpu": chunk_cpu.measure,
    "latency": latency.measure,
    "memory": memory.measure,
    "ingestion": _ingestion,
}


def main() -> int:
    """Parse the flags, measure, print; 1 if a benchmark broke (a missed target is no failure of the program)."""
    arguments = _arguments()
    run = Run(arguments.seconds, arguments.pairs, [PEERS[name] for name in arguments.peers])
    figures: list[Figure] = []
    failed = False
    for name in arguments.only:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            try:
                figures += BENCHMARKS[name](run, Path(folder))
            except Unavailable as reason:
                run.note(f"{name}: {reason}")
            except (AssertionError, OSError, subprocess.SubprocessError) as fault:  # the other benchmarks still count
                failed = True
                run.note(f"{name} failed: {fault!r}")
    run.say("")
    if arguments.json:
        sys.stdout.write(_document(run, figures).decode() + "\n")
    else:
        _print(run, figures)
    return int(failed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Side-by-side benchmarks; see bench/__init__.py."
    )
    parser.add_argument(
        "--only", type=_some_of(BENCHMARKS), default=list(BENCHMARKS), help=f"some of {','.join(BENCHMARKS)}"
    )
    parser.add_argument(
        "--peers", type=_some_of(PEERS), default=list(PEERS), help=f"compared with these alone, of {','.join(PEERS)}"
    )
    parser.add_argument("--seconds", type=float, help="length of one run (default 3)")
    parser.add_argument("--pairs", type=int, help="runs of each server, taking turns (default 5)")
    parser.add_argument("--quick", action="store_true", help="one second, two turns")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    arguments = parser.parse_args()
    arguments.seconds = arguments.seconds or (1.0 if arguments.quick else 3.0)
    arguments.pairs = arguments.pairs or (2 if arguments.quick else 5)
    return arguments


def _some_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Names with commas between them, in the order of ``known``."""

    def names(words: str) -> list[str]:
        asked = words.split(",")
        unknown = [name for name in asked if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(known)}")
        return [name for name in known if name in asked]

    return names


def _document(run: Run, figures: list[Figure]) -> bytes:
    rows = [{**msgspec.to_builtins(figure), "reached": reached(figure.key, figure.compared)} for figure in figures]
    parts = {
        "machine": machine(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "others_cores": run.others_cores(),
        "seconds": run.seconds,
        "pairs": run.pairs,
        "figures": rows,
        "missing": run.missing,
    }
    return msgspec.json.format(msgspec.json.encode(parts))


def _print(run: Run, figures: list[Figure]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(
        f"{run.pairs} turns of {run.seconds:g} s; medians (least to greatest); {machine()}; Python "
        f"{platform.python_version()}; other programs had {run.others_cores():.2f} cores",
        highlight=False,
    )
    for what, rows in itertools.groupby(figures, lambda figure: figure.what):
        listed = list(rows)
        console.print(f"\n{what}: ours {number(listed[0].ours)} {listed[0].unit}", highlight=False)
        console.print(_table(listed))
    for line in summary.lines(figures):
        console.print(line, soft_wrap=True, highlight=False)
    seen = {figure.peer for figure in figures}
    for peer in run.peers:
        if peer.name in seen:
            console.print(f"{peer.name} records: {peer.records}", highlight=False)
    for words in run.missing:
        console.print(f"not measured: {words}", style="yellow", highlight=False)


def _table(figures: list[Figure]) -> Table:
    """One measure: a line for each peer, or for ours alone, beside its target."""
    table = Table()
    for name in ("server", figures[0].unit, "÷ nginx", "ours ÷ it", "target", "reached"):
        table.add_column(name, justify="left" if name in {"server", "target", "reached"} else "right", overflow="fold")
    for figure in figures:
        target, holds = TARGETS.get(figure.key), reached(figure.key, figure.compared)
        table.add_row(
            figure.peer or "ours",
            number(figure.ours if figure.theirs is None else figure.theirs),
            "" if figure.to_nginx is None else number(figure.to_nginx),
            f"{number(figure.compared)} ({number(figure.low)} to {number(figure.high)})" if figure.peer else "",
            target.words if target else "",
            {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[holds],
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
