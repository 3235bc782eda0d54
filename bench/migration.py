"""``python -m bench.migration``: a migration from 1.0.0 against one bare UPDATE of the same records, in the same run.

    --records 10000000       of the file that is made for it (130 bytes each; a run needs about six times the file)
    --turns 1                UPDATE and migration take turns; a ratio is the median of those of neighbours
    --latency-turns 3        0: leave out what clients notice
    --latency-records 3000000  of the file whose migration they are beside: it has to last longer than a measurement

What is timed is ``engine.migrate`` whole: look, back up, set the old table aside, carry over, verify. The old table
stays and is the undo. Each piece of work is a process of its own on a fresh copy. The longest wait of another writer is
found in a turn of its own, because looking for it all the time costs time too.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bench import migration_file, migration_floor, migration_latency
from bench.figures import Figure, Unavailable, against, alone, number
from bench.targets import TARGETS, reached

RECORDS: Final = 10_000_000
_FLOOR_RECORDS: Final = 500_000
_PHASES: Final = {
    "checking": "looking and checking",
    "backing_up": "backup",
    "adopting": "a new table beside the old one",
    "migrating": "carrying over",
    "verifying": "verification",
}


def main() -> int:
    """Parse the flags, measure, print."""
    arguments = _arguments()
    missing: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.folder) as name:
        folder = Path(name)
        source = folder / "legacy.db"
        _say(f"making {arguments.records:,} records …")
        migration_file.make(source, arguments.records)
        turns = [_turn(source, folder / "turn") for _ in range(arguments.turns)]
        figures = speed(turns, arguments.records)
        figures += floor(folder / "floor", min(arguments.records, _FLOOR_RECORDS))
        figures += waits(source, folder / "waits")
        if arguments.latency_turns:
            _say("latency beside a migration …")
            if arguments.latency_records < arguments.records:
                source.unlink()
                migration_file.make(source, arguments.latency_records)
            try:
                figures += migration_latency.measure(source, folder, arguments.latency_turns, arguments.latency_seconds)
            except Unavailable as reason:
                missing.append(str(reason))
    _say("")
    if arguments.json:
        sys.stdout.write(_document(arguments.records, figures, missing).decode() + "\n")
    else:
        _print(arguments.records, figures, missing)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.migration", description="Speed and price of a migration.")
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--turns", type=int, default=1, help="of UPDATE and migration (default 1)")
    parser.add_argument("--latency-turns", type=int, default=3, help="0: leave it out (default 3)")
    parser.add_argument("--latency-records", type=int, default=3_000_000, help="at most (default 3,000,000)")
    parser.add_argument("--latency-seconds", type=float, default=10.0, help="of each measurement (default 10)")
    parser.add_argument("--folder", help="where to work (default: the system's folder for temporary files)")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    return parser.parse_args()


def _say(words: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{words}")


def _child(*words: str) -> dict[str, Any]:
    """What a ``bench.migration_child`` measured."""
    ran = subprocess.run([sys.executable, "-m", "bench.migration_child", *words], stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = msgspec.json.decode(ran.stdout)
    return found


def _clear(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file():
            path.unlink()


def _turn(source: Path, folder: Path) -> dict[str, dict[str, Any]]:
    """The bare UPDATE, then the migration and its undo, each on a fresh copy."""
    found = {}
    for names in (("update",), ("migrate", "undo")):
        path = migration_file.copy(source, folder / "metrics.db")
        for name in names:
            _say(f"{name} …")
            found[name] = _child(name, str(path), str(folder / "backups"))
        _clear(folder)
    return found


def speed(turns: Sequence[dict[str, dict[str, Any]]], records: int) -> list[Figure]:
    """Figures of the turns that ``_turn`` gave."""
    bare = [turn["update"]["seconds"] for turn in turns]
    whole = [turn["migrate"]["seconds"] for turn in turns]
    phases = [turn["migrate"]["phases"] for turn in turns]
    backups = [each.get("backing_up", 0.0) for each in phases]
    peer = "bare UPDATE"
    figures = [
        against("migration.ratio", "migration, all of it", "s", ours=whole, peer=peer, theirs=bare),
        against(
            "migration.without_backup",
            "the same without the backup",
            "s",
            ours=[total - backup for total, backup in zip(whole, backups, strict=True)],
            peer=peer,
            theirs=bare,
        ),
    ]
    cpu = {
        "ours": [turn["migrate"]["cpu_seconds"] for turn in turns],
        "theirs": [turn["update"]["cpu_seconds"] for turn in turns],
    }
    figures.append(against("migration.cpu_ratio", "CPU time of all of it", "s", peer=peer, **cpu))
    for name, words in _PHASES.items():
        seconds = [each.get(name, 0.0) for each in phases]
        figures.append(against(f"migration.{name}", f"  of it {words}", "s", ours=seconds, peer=peer, theirs=bare))
        spent = [turn["migrate"]["cpu_phases"].get(name, 0.0) for turn in turns]
        what = f"  of it {words}, CPU time"
        figures.append(against(f"migration.{name}.cpu", what, "s", ours=spent, peer=peer, theirs=cpu["theirs"]))
    undone = [turn["undo"]["seconds"] for turn in turns]
    figures.append(against("migration.undo", "undo of all of it", "s", ours=undone, peer=peer, theirs=bare))
    rates = [records / seconds for seconds in whole]
    figures.append(alone("migration.rate", "records migrated and verified", "records/s", rates))
    days = [turn["migrate"]["day_seconds"] for turn in turns]
    figures.append(alone("migration.day", "until the last 24 hours are in the new table", "s", days))
    peaks = [max(turn["migrate"]["peak_mib"], turn["undo"]["peak_mib"]) for turn in turns]
    figures.append(alone("migration.memory", "largest resident memory of the process", "MiB", peaks))
    locks = [turn["migrate"]["largest_lock_ms"] for turn in turns]
    figures.append(alone("migration.batch_lock", "largest write lock of a batch, as the engine counts", "ms", locks))
    return figures


def floor(folder: Path, records: int) -> list[Figure]:
    """What keeping the promises costs at the least, in bare UPDATEs."""
    _say("what it costs at the least …")
    folder.mkdir()
    bare, *rest = migration_floor.measure(folder, records, turns=3).values()
    least = [sum(parts) for parts in zip(*rest, strict=True)]
    words = "the least that these promises cost, CPU time"
    return [against("migration.floor", words, "s", ours=least, peer="bare UPDATE", theirs=bare)]


def waits(source: Path, folder: Path) -> list[Figure]:
    """How long another writer waits for a migration at most."""
    _say("waits of another writer …")
    path = migration_file.copy(source, folder / "metrics.db")
    waiter = subprocess.Popen(
        [sys.executable, "-m", "bench.migration_waiter", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        _child("migrate", str(path), str(folder / "backups"))
        words, _ = waiter.communicate(b"", timeout=60)
    finally:
        waiter.kill()
        waiter.wait()
        _clear(folder)
    found = msgspec.json.decode(words)
    return [
        alone("migration.lock", "longest wait of another writer", "ms", [found["longest_ms"]]),
        alone("migration.long_waits", "waits of another writer over 100 ms", "times", [found["long_waits"]]),
    ]


def _document(records: int, figures: Sequence[Figure], missing: Sequence[str]) -> bytes:
    rows = [{**msgspec.to_builtins(figure), "reached": reached(figure.key, figure.compared)} for figure in figures]
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    parts = {"machine": machine, "records": records, "figures": rows, "missing": missing}
    return msgspec.json.format(msgspec.json.encode(parts))


def _print(records: int, figures: Sequence[Figure], missing: Sequence[str]) -> None:
    """As Markdown, for ``docs/performance.md``."""
    lines = [f"{records:,} records of 1.0.0, {os.cpu_count()} cores:", ""]
    lines += ["| what | measured | compared with | ratio | target | reached |", "|---|---:|---:|---:|---|---|"]
    for figure in figures:
        target, holds = TARGETS.get(figure.key), reached(figure.key, figure.compared)
        theirs = "" if figure.theirs is None else f"{figure.peer} {number(figure.theirs)} {figure.unit}"
        cells = (
            figure.what.strip() if not figure.what.startswith("  ") else f"… {figure.what.strip()}",
            f"{number(figure.ours)} {figure.unit}",
            theirs,
            number(figure.compared) if figure.peer else "",
            target.words if target else "",
            {None: "", True: "yes", False: "**no**"}[holds],
        )
        lines.append("| " + " | ".join(cells) + " |")
    lines += [f"\nnot measured: {words}" for words in missing]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
