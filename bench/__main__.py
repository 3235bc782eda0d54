"""``python -m bench``: run the benchmarks and print one table."""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from bench import chunk_cpu, ingestion, latency, memory, throughput
from bench.figures import Figure, Unavailable, alone
from bench.processes import TEST_CORE, pinned
from bench.run import Run
from bench.targets import TARGETS, reached

_INGESTED_RECORDS: Final = {True: 40_000, False: 200_000}  # by --quick


def _ingestion(run: Run, folder: Path) -> list[Figure]:
    records = _INGESTED_RECORDS[run.seconds <= 1]
    rates = []
    for turn in range(min(run.pairs, 3)):
        run.say("ingestion")
        with pinned(TEST_CORE):
            rates.append(ingestion.measure(records, folder / str(turn)))
    return [alone("ingestion.ours", f"ingestion on one core, {records:,} records", "records/s", rates)]


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
    run = Run(arguments.seconds, arguments.pairs)
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
    parser.add_argument("--only", type=_names, default=list(BENCHMARKS), help=f"some of {','.join(BENCHMARKS)}")
    parser.add_argument("--seconds", type=float, help="length of one run (default 4)")
    parser.add_argument("--pairs", type=int, help="runs of each server, taking turns (default 5)")
    parser.add_argument("--quick", action="store_true", help="one second, two turns")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    arguments = parser.parse_args()
    arguments.seconds = arguments.seconds or (1.0 if arguments.quick else 4.0)
    arguments.pairs = arguments.pairs or (2 if arguments.quick else 5)
    return arguments


def _names(words: str) -> list[str]:
    names = words.split(",")
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(BENCHMARKS)}")
    return names


def _document(run: Run, figures: list[Figure]) -> bytes:
    rows = [{**msgspec.to_builtins(figure), "reached": reached(figure.key, figure.compared)} for figure in figures]
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    parts = {"machine": machine, "seconds": run.seconds, "pairs": run.pairs, "figures": rows, "missing": run.missing}
    return msgspec.json.format(msgspec.json.encode(parts))


def _print(run: Run, figures: list[Figure]) -> None:
    table = Table(title=f"{run.pairs} turns of {run.seconds:g} s; median (least to greatest)", title_justify="left")
    for name in ("what", "ours", "peer", "ours ÷ peer", "target", "reached"):
        table.add_column(name, justify="left" if name in {"what", "reached"} else "right", overflow="fold")
    for figure in figures:
        target = TARGETS.get(figure.key)
        holds = reached(figure.key, figure.compared)
        table.add_row(
            figure.what,
            f"{_number(figure.ours)} {figure.unit}",
            f"{figure.peer} {_number(figure.theirs)}" if figure.theirs is not None else "-",
            f"{_number(figure.compared)} ({_number(figure.low)} to {_number(figure.high)})" if figure.peer else "-",
            target.words if target else "",
            {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[holds],
        )
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    for words in run.missing:
        console.print(f"not measured: {words}", style="yellow", highlight=False)


def _number(value: float) -> str:
    """Three significant digits, without exponents."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
