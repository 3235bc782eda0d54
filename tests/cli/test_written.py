from pathlib import Path

import pytest

from llm_metrics_proxy import export, reports
from llm_metrics_proxy.cli.written import PARTIAL, format_by_name, written
from llm_metrics_proxy.errors import ExportError


def test_a_file_is_there_when_it_is_whole_and_not_before(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    with written(str(target), force=False) as file:
        file.write(b"x")
        file.flush()
        assert [path.name for path in tmp_path.iterdir()] == ["a.csv.partial"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert target.read_bytes() == b"x"


def test_what_fails_leaves_nothing_and_touches_nothing(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    target.write_bytes(b"before")

    def fail() -> None:
        with written(str(target), force=True) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert target.read_bytes() == b"before"


def test_a_file_that_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    target.write_bytes(b"before")
    with pytest.raises(ExportError, match="is there already: choose another name, or replace it with --force"):
        written(str(target), force=False).__enter__()
    with written(str(target), force=True) as file:
        file.write(b"after")
    assert target.read_bytes() == b"after"


def test_a_file_that_appears_meanwhile_is_not_replaced_either(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    context = written(str(target), force=False)
    context.__enter__().write(b"x")
    target.write_bytes(b"somebody else's")
    with pytest.raises(ExportError, match="is there already"):
        context.__exit__(None, None, None)
    assert target.read_bytes() == b"somebody else's"
    assert not Path(f"{target}{PARTIAL}").exists()


def test_what_a_killed_export_left_is_written_over(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    Path(f"{target}{PARTIAL}").write_bytes(b"left over and longer")
    with written(str(target), force=False) as file:
        file.write(b"x")
    assert target.read_bytes() == b"x"


def test_two_exports_do_not_write_one_file(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    with written(str(target), force=False) as file:
        file.write(b"first")
        with pytest.raises(ExportError, match=r"another export is writing .*a\.csv\.partial"):
            written(str(target), force=False).__enter__()
    assert target.read_bytes() == b"first"


@pytest.mark.parametrize(
    ("name", "message"), [("", "is a folder"), ("absent/a.csv", "cannot be written: No such file")]
)
def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        written(str(tmp_path / name), force=True).__enter__()


@pytest.mark.parametrize(
    ("output", "name"),
    [("a.csv", "csv"), ("a.PARQUET", "parquet"), ("a.txt", "jsonl"), ("-", "jsonl"), ("csv", "jsonl")],
)
def test_the_end_of_the_name_says_the_format_of_records(output: str, name: str) -> None:
    assert format_by_name(output, export.FORMATS, "jsonl") == name


@pytest.mark.parametrize(
    ("output", "name"),
    [("a.html", "html"), ("a.HTM", "html"), ("a.json", "json"), ("a.md", "md"), ("a", "md"), ("-", "md")],
)
def test_the_end_of_the_name_says_the_format_of_a_report(output: str, name: str) -> None:
    assert format_by_name(output, reports.FORMATS, "md") == name
