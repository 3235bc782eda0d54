"""The table of ``docs/performance.md``: what each server needs ÷ what nginx needs, a line for each server."""

from collections.abc import Iterator, Sequence
from typing import Final

from bench.figures import YARDSTICK, Figure, number

# By what the keys of their figures begin with.
MEASURES: Final = {
    "cpu.64": "CPU a request, 64 connections",
    "throughput.64": "requests/s, 64 connections",
    "cpu.at_200": "CPU a request, 200/s",
    "latency.200.p50": "latency added at 200/s, p50",
    "chunk_cpu": "CPU a chunk",
    "chunk_cpu.large": "CPU an event of 64 KiB",
    "memory": "memory an idle stream",
}


def lines(figures: Sequence[Figure]) -> Iterator[str]:
    """Markdown; the line of nginx has what it needs itself. Nothing, if it did not take part."""
    cells: dict[str, dict[str, str]] = {"ours": {}, YARDSTICK: {}}
    for figure in figures:
        measure, _, _ = figure.key.rpartition(".")
        if measure not in MEASURES or figure.peer is None or figure.theirs is None or figure.to_nginx is None:
            continue
        if figure.peer == YARDSTICK:
            cells["ours"][measure] = f"**{number(figure.compared)}**"
            cells[YARDSTICK][measure] = f"{number(figure.theirs)} {figure.unit}"
        else:
            cells.setdefault(figure.peer, {})[measure] = number(figure.to_nginx)
    seen = [measure for measure in MEASURES if measure in cells[YARDSTICK]]
    if not seen:
        return
    yield " | ".join(["| ÷ nginx", *(MEASURES[measure] for measure in seen)]) + " |"
    yield "| --- " * (len(seen) + 1) + "|"
    for name, row in cells.items():
        yield " | ".join([f"| {name}", *(row.get(measure, "") for measure in seen)]) + " |"
