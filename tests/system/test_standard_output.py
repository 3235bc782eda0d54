"""Every verb, where standard output is a full disk, a reader who has left, closed, or of an encoding that lacks much.

Whole processes in their own folders. A verb that is new has to be given its arguments here.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import typer

from llm_metrics_proxy.cli.app import application
from llm_metrics_proxy.metrics_service import to_row
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.cli.conftest import FAILED, make_record
from tests.system.disks import small_disk
from tests.waiting import wait_until

pytestmark = pytest.mark.system

PROGRAM: Final = str(Path(sys.executable).with_name("llm-metrics-proxy"))
LIMIT_S: Final = 120
MODEL: Final = "modèle-日本語→…"
SESSION: Final = "run-1"
PORTS: Final = "--port 0 --metrics-port 0"

# Verb → arguments, of verbs that end; `{backup}` and `{session}` are the names of one. All of them print something.
ENDS: Final = {
    "requests": "",
    "summary": "",
    "query": "--by time,model",
    "errors": "--examples 2",
    "sessions list": "--since 1970-01-01",
    "sessions show": "{session}",
    "costs": "",
    "changes": "",
    "limits": "",
    "servers": "",
    "top": "--once",
    "export": "--format csv",
    "report": "--since 2026-01-01 --until 2026-02-01",
    "reprice": "--since 1970-01-01 --dry-run",
    "doctor": PORTS,
    "version": "",
    "init": "--yes --backend demo --force",
    "config check": "",
    "support-bundle": "--output bundle.zip --force --log /dev/null",
    "upgrade-check": "",
    "completion": "bash",
    "migrate status": "",
    "migrate plan": "",
    "migrate run": "",
    "migrate undo": "",
    "migrate forget": "",
    "migrate verify": "",
    "migrate history": "",
    "migrate notices": "",
    "compact": "",
    "backup create": "",
    "backup list": "",
    "backup verify": "",
    "backup restore": "{backup}",
}
RUNS: Final = {
    "serve": f"--backend demo --workers 1 --no-demo-traffic {PORTS}",
    "proxy": "--backend http://127.0.0.1:9 --workers 1 --port 0",
    "metrics": "--metrics-port 0",
    "demo": "--port 0",
}
FILES: Final = {"export", "report"}  # in UTF-8, wherever they go
NEEDS_A_SERVER: Final = {"store copy"}  # of ClickHouse: tests/clickhouse
NEEDS_A_PROCESS: Final = {"reload"}  # tests/cli/test_reload.py
FOR_PROGRAMS: Final = {"mcp"}  # JSON of a protocol, in ASCII: tests/mcp_server
NO_JSON: Final = {"init", "completion"}  # they write something else
SAYS_NOTHING: Final = {"migrate undo", "migrate forget", "migrate verify"}  # but on standard error: there is no run
NO_UTF8: Final = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}  # as a POSIX or ISO-8859-1 locale is


def leaves(command: Any, name: str = "") -> Iterator[str]:
    for verb, below in getattr(command, "commands", {}).items():
        if hasattr(below, "commands"):
            yield from leaves(below, f"{name}{verb} ")
        else:
            yield f"{name}{verb}"


def test_the_tables_name_every_verb() -> None:
    assert set(leaves(typer.main.get_command(application()))) == {
        *ENDS,
        *RUNS,
        *NEEDS_A_SERVER,
        *NEEDS_A_PROCESS,
        *FOR_PROGRAMS,
    }


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose name is not ASCII, with a database and a backup of it."""
    folder = tmp_path_factory.mktemp("maison") / "été"
    store = SqliteStore(folder / "data" / "metrics.db")
    facts = {**FAILED, "origin": "ö→…", "error_type": "overloaded"}
    same = {"model": MODEL, "session_id": SESSION}
    records = [make_record(number, **same, **(facts if number % 2 else {})) for number in range(1, 9)]
    store.append(IngestBatch(rows=[to_row(record) for record in records]))
    store.close()
    made = subprocess.run([PROGRAM, "backup", "create"], cwd=folder, capture_output=True, timeout=LIMIT_S, check=False)
    assert made.returncode == 0, made.stderr
    return folder


def own(house: Path, tmp_path: Path, name: str) -> Path:
    """A copy: verbs may write."""
    return Path(shutil.copytree(house, tmp_path / name / "été"))


def arguments(verb: str, folder: Path) -> list[str]:
    backup = next((folder / "data" / "backups").glob("*.db")).name
    return [*verb.split(), *shlex.split(ENDS[verb].format(backup=backup, session=SESSION))]


def ran(
    words: list[str], folder: Path, environment: Mapping[str, str], **where: Any
) -> "subprocess.CompletedProcess[bytes]":
    kept = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "PYTHONIOENCODING"}}
    return subprocess.run(
        [PROGRAM, *words], cwd=folder, env={**kept, **environment}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        timeout=LIMIT_S, check=False, **where,
    )  # fmt: skip


@pytest.mark.parametrize("verb", ENDS)
def test_an_encoding_that_lacks_characters_gets_stand_ins_and_json_stays(
    house: Path, tmp_path: Path, verb: str
) -> None:
    folder = own(house, tmp_path, "text")
    done = ran(arguments(verb, folder), folder, NO_UTF8, stdout=subprocess.PIPE)
    assert b"Traceback" not in done.stderr, done.stderr.decode("ascii", "replace")
    if verb in SAYS_NOTHING:
        return
    assert done.returncode == 0, done.stderr
    assert done.stdout
    if verb in FILES:
        assert MODEL in done.stdout.decode("utf-8").replace("\\", "")
        return
    done.stdout.decode("ascii")
    if verb in NO_JSON:
        return
    folder = own(house, tmp_path, "json")
    done = ran([*arguments(verb, folder), "--json"], folder, NO_UTF8, stdout=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    for document in done.stdout.splitlines() if verb == "requests" else [done.stdout]:
        read = msgspec.json.decode(document.decode("utf-8"))
        assert verb != "requests" or read["model"] == MODEL


@pytest.mark.parametrize("name", ["ascii", "latin-1", "cp1252"])
def test_what_an_encoding_has_is_written_in_it(house: Path, name: str) -> None:
    done = ran(["requests"], house, {"PYTHONIOENCODING": name}, stdout=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    assert ("mod?le-??????>." if name == "ascii" else "modèle-??????") in done.stdout.decode(name)


@pytest.mark.parametrize("verb", [*ENDS, "--help", "serve --help"])
def test_a_write_that_fails_is_told_and_a_reader_that_left_is_not(house: Path, tmp_path: Path, verb: str) -> None:
    folder = own(house, tmp_path, "one")
    words = arguments(verb, folder) if verb in ENDS else verb.split()
    told_before_it_prints = verb in SAYS_NOTHING

    with Path("/dev/full").open("wb") as full:
        done = ran(words, folder, {}, stdout=full)
    assert done.returncode not in {0, 120, -signal.SIGPIPE}, done.stderr
    assert b"Traceback" not in done.stderr
    assert told_before_it_prints or b"standard output cannot be written: No space left on device" in done.stderr

    folder = own(house, tmp_path, "two")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = ran(arguments(verb, folder) if verb in ENDS else words, folder, {}, stdout=writing)
    finally:
        os.close(writing)
    if not told_before_it_prints:
        assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")
    assert b"Traceback" not in done.stderr


def test_what_is_closed_is_not_taken_for_a_file_of_ours(house: Path, tmp_path: Path) -> None:
    folder = own(house, tmp_path, "one")
    before = (folder / "data" / "metrics.db").read_bytes()
    command = f"{shlex.quote(PROGRAM)} summary >&- <&-; echo $?"
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=True
    )
    assert done.stdout == "1\n"
    assert "standard output cannot be written" in done.stderr
    done = subprocess.run(
        ["sh", "-c", f"{command} 2>&-"], cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=True
    )
    assert (folder / "data" / "metrics.db").read_bytes() == before


@pytest.mark.parametrize("verb", RUNS)
@pytest.mark.parametrize("where", ["a full disk", "POSIX"])
def test_what_goes_on_running_runs_on(house: Path, tmp_path: Path, verb: str, where: str) -> None:
    folder = own(house, tmp_path, "one")
    log = folder / "log"
    environment = {**os.environ, **(NO_UTF8 if where == "POSIX" else {})}
    out = Path("/dev/full") if where == "a full disk" else folder / "out"
    with log.open("wb") as err, out.open("wb") as stdout:
        process = subprocess.Popen(
            [PROGRAM, verb, *shlex.split(RUNS[verb])], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=stdout, stderr=err,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + LIMIT_S
            said = log if where == "a full disk" else out
            expected = b"No space left on device" if where == "a full disk" else b"127.0.0.1:"
            while expected not in said.read_bytes() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            assert expected in said.read_bytes(), log.read_text(errors="replace")
            time.sleep(0.5)
            assert process.poll() is None, log.read_text(errors="replace")
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(LIMIT_S)
    assert code in ({0} if verb != "demo" else {0, 143, -signal.SIGTERM})
    assert "Traceback" not in log.read_text(errors="replace")


@pytest.mark.parametrize("closed", ["<&-", "<&- >&- 2>&-"])
def test_processes_start_where_the_standard_descriptors_are_closed(tmp_path: Path, closed: str) -> None:
    """A worker is a fork of what the command became: neither may take a file or socket for its standard input."""
    words = f"{shlex.quote(PROGRAM)} proxy --port 0 --workers 1 --backend http://127.0.0.1:9 --data-dir data"
    process = subprocess.Popen(["sh", "-c", f"exec {words} {closed}"], cwd=tmp_path, start_new_session=True)
    journal = tmp_path / "data" / "journal"
    try:
        wait_until(lambda: any(journal.glob("*")), process=process)  # so a worker has read its options
        held = {fd: Path(f"/proc/{process.pid}/fd/{fd}").readlink() for fd in range(len(closed.split()))}
        assert set(held.values()) == {Path(os.devnull)}
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(LIMIT_S)
    assert code == 0


@pytest.mark.parametrize("words", ["export --format csv", "export --format jsonl", "export --format parquet", "report"])
def test_a_file_on_a_full_disk_is_told_and_no_half_of_it_stays(house: Path, tmp_path: Path, words: str) -> None:
    folder = own(house, tmp_path, "one")
    with small_disk(tmp_path / "disk", 64 * 1024) as disk:
        (disk / "ballast").write_bytes(bytes(64 * 1024))
        target = disk / "made"
        done = ran([*words.split(), "--output", str(target)], folder, {}, stdout=subprocess.PIPE)
        assert done.returncode == 1
        assert re.search(rb"made cannot be written: No space left on device", done.stderr), done.stderr
        assert [path.name for path in disk.iterdir()] == ["ballast"]
