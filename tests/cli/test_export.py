"""``export`` on a real database, into real files, pipes and terminals."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import apsw
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from llm_metrics_proxy.cli.export import figures
from llm_metrics_proxy.export import ExportChunk
from tests.cli.conftest import Cli
from tests.pty_session import output_of

pytestmark = pytest.mark.usefixtures("store")
PROGRAM = str(Path(sys.executable).with_name("llm-metrics-proxy"))


def test_without_anything_json_lines_go_to_standard_output(cli: Cli) -> None:
    ran = cli("export")
    assert [json.loads(line)["arrival"] for line in ran.out.splitlines()] == [1, 2, 3]
    assert (ran.code, ran.err) == (0, "")


def test_flags_choose_records_columns_and_format(cli: Cli) -> None:
    ran = cli(
        "export", "--format", "csv", "--columns", "arrival,origin,prompt_tokens", "--since", "2026-01-01T00:02:00"
    )
    assert ran.out == "arrival,origin,prompt_tokens\r\n2,[red]over\x1b[2Jloaded,\r\n3,editor,1000\r\n"
    assert cli("export", "--model", "qwen", "--columns", "arrival").out == '{"arrival":2}\n'


def test_csv_for_excel_begins_with_a_byte_order_mark_also_without_records(cli: Cli, tmp_path: Path) -> None:
    for model in ("qwen", "none"):
        given = ("export", "--model", model, "--columns", "arrival", "--format", "csv")
        assert cli(*given, "--bom").out == "\ufeff" + cli(*given).out
    assert cli("export", "--output", "a.csv", "--bom").code == 0
    assert (tmp_path / "a.csv").read_bytes().startswith(b"\xef\xbb\xbfarrival,")
    refused = cli("export", "--format", "jsonl", "--bom")
    assert (refused.code, refused.err) == (
        2, "llm-metrics-proxy: a byte-order mark is for csv; jsonl must not have one\n",
    )  # fmt: skip


def test_a_file_is_written_whole_and_not_replaced_unless_told(cli: Cli, tmp_path: Path) -> None:
    assert cli("export", "--output", "records.parquet") == (0, "", "")
    assert pq.read_table(tmp_path / "records.parquet")["arrival"].to_pylist() == [1, 2, 3]
    again = cli("export", "--output", "records.parquet", "--columns", "arrival")
    assert again.code == 1
    assert again.err == (
        "llm-metrics-proxy: records.parquet is there already: choose another name, or replace it with --force\n"
    )
    assert cli("export", "--output", "records.parquet", "--columns", "arrival", "--force").code == 0
    assert pq.read_table(tmp_path / "records.parquet").column_names == ["arrival"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--format", "xlsx"], "there is no format 'xlsx'; there are: jsonl, csv, parquet"),
        (["--columns", "modle"], "there is no column 'modle'"),
        (["--since", "x"], "--since: 'x' is not an ISO 8601 date"),
        (["--db-path", "absent.db"], "no database at absent.db"),
    ],
)
def test_bad_flags_are_one_line_and_leave_no_file(cli: Cli, tmp_path: Path, flags: list[str], message: str) -> None:
    ran = cli("export", "--output", "out.csv", *flags)
    assert ran.code in (1, 2)
    assert message in ran.err
    assert not list(tmp_path.glob("out.csv*"))


def test_values_that_do_not_fit_are_in_a_column_of_their_own(cli: Cli, tmp_path: Path) -> None:
    columns = "timestamp TEXT, success BOOLEAN, response_time_ms REAL, model TEXT, prompt_tokens INTEGER"
    connection = apsw.Connection(str(tmp_path / "odd.db"))
    connection.execute(f"CREATE TABLE completion_requests (id INTEGER PRIMARY KEY AUTOINCREMENT, {columns})")
    connection.execute("INSERT INTO completion_requests VALUES (1, '2026-01-01T00:00:00', 1, 5.0, 'm', 'many')")
    connection.close()
    assert cli("migrate", "run", "--db-path", "odd.db").code == 0
    ran = cli("export", "--db-path", "odd.db", "--format", "csv", "--columns", "arrival,prompt_tokens,unfit_values")
    (record,) = csv.DictReader(io.StringIO(ran.out, newline=""))
    assert (record["arrival"], record["prompt_tokens"]) == ("1", "")
    assert json.loads(record["unfit_values"]) == {"prompt_tokens": "'many'"}


def test_a_disk_that_is_full_is_one_line_and_leaves_no_file(tmp_path: Path) -> None:
    limited = f"ulimit -f 1 && exec {PROGRAM} export --output a.jsonl"  # blocks of 512 or 1024 bytes
    ran = subprocess.run(["sh", "-c", limited], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr == "llm-metrics-proxy: a.jsonl cannot be written: File too large\n"
    assert not list(tmp_path.glob("a.jsonl*"))


@pytest.mark.system
def test_a_reader_that_has_enough_ends_it_quietly(tmp_path: Path) -> None:
    command = f"{PROGRAM} export | head -n 1"
    ran = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(ran.stdout)["arrival"] == 1
    assert ran.stderr == b""


@pytest.mark.system
def test_a_terminal_is_told_what_was_written_and_gets_no_parquet(tmp_path: Path) -> None:
    code, said = output_of([PROGRAM, "export", "--output", "a.jsonl"], tmp_path)
    assert code == 0
    assert "3 records, 0.0 MiB in" in said
    assert (tmp_path / "a.jsonl").read_bytes().count(b"\n") == 3
    code, said = output_of([PROGRAM, "export", "--format", "parquet"], tmp_path)
    assert code == 1
    assert "parquet is not text for a terminal" in said
    assert "PAR1" not in said


def test_figures_show_rate_and_time_left_once_they_mean_something() -> None:
    piece = ExportChunk(b"", 250_000, 0.25)
    assert figures(piece, 0.2) == " 25%  250,000 records"
    assert figures(piece, 5.0) == " 25%  250,000 records  50,000/s  15 s left"
    assert figures(ExportChunk(b"", 0, 0.0), 5.0) == "  0%  0 records"
