import csv
import io
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.export import ExportQuery, choose
from llm_metrics_proxy.export.comma_separated import GUARDED, CommaSeparated, text_cell
from llm_metrics_proxy.record import ALL_COLUMNS
from tests.analytics.database import Database, a_record
from tests.export.conftest import asked, carry_over, file_of

TEXTS = st.text(max_size=8) | st.text("'=+-@\t\r\n\", a\uff1d\u2212\u00a0\ufeff", max_size=6)


def records_of(data: bytes) -> list[list[str | None]]:
    """As RFC 4180 has it, read letter by letter: a cell without quotes and without text is missing (``None``)."""
    text, records, cells, position = data.decode(), [], [], 0
    while position < len(text):
        quoted = text[position] == '"'
        cell = ""
        if quoted:
            position += 1
            while text[position] != '"' or text[position + 1] == '"':
                cell += text[position]
                position += 2 if text[position] == '"' else 1
            position += 1
        else:
            while text[position] not in ",\r":
                assert text[position] not in '"\n'
                cell += text[position]
                position += 1
        cells.append(cell if cell or quoted else None)
        if text[position] == ",":
            position += 1
        else:
            assert text[position : position + 2] == "\r\n"
            position += 2
            records.append(cells)
            cells = []
    assert not cells
    return records


def unguarded(cell: str | None) -> str | None:
    return cell[1:] if cell is not None and GUARDED.match(cell) else cell


@given(st.lists(st.tuples(TEXTS | st.none(), TEXTS | st.none()), min_size=1, max_size=5))
def test_every_text_comes_back_exactly_and_missing_is_not_empty(rows: list[tuple[str | None, str | None]]) -> None:
    writer = CommaSeparated(["model", "origin"])
    header, *read = records_of(writer.head() + writer.page(rows) + writer.tail())
    assert header == ["model", "origin"]
    assert [tuple(map(unguarded, record)) for record in read] == rows


@given(TEXTS)
def test_no_cell_of_text_begins_as_a_formula_does(text: str) -> None:
    ((cell,),) = records_of(text_cell(text).encode() + b"\r\n")
    assert cell is None or cell.startswith("'") or not seen(cell).startswith(("=", "+", "-", "@"))


def seen(cell: str) -> str:
    """What a spreadsheet may look at: without blanks and quotes before it, full-width forms as the plain ones."""
    return unicodedata.normalize("NFKC", cell.replace("\u2212", "-")).strip().lstrip("\ufeff\u200b\u200e\u2066'\" ")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("llama", "llama"),
        ("", '""'),
        ("a,b", '"a,b"'),
        ('say "hi"', '"say ""hi"""'),
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("@cf/meta/llama", "'@cf/meta/llama"),
        ("-1+cmd", "'-1+cmd"),
        ("'=1", "''=1"),
        ("  =1+1", "'  =1+1"),
        ('"=1+1"', '"\'""=1+1"""'),
        ("\u00a0\ufeff@SUM(A1)", "'\u00a0\ufeff@SUM(A1)"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("\u22121", "'\u22121"),
        ("\r=1", '"\'\r=1"'),
        ("'quoted'", "'quoted'"),
        ("a=b", "a=b"),
        (" padded ", '" padded "'),
    ],
)
def test_a_text_is_written_like_this(text: str, cell: str) -> None:
    assert text_cell(text) == cell


def test_numbers_keep_every_digit_and_their_sign(database: Database) -> None:
    database.add(a_record(response_time_ms=0.1 + 0.2, temperature=-1.5, connect_ms=1e300, prompt_tokens=2**53 + 1))
    names = "response_time_ms,temperature,connect_ms,prompt_tokens,is_streaming,max_tokens,arrival"
    data = file_of(database, ExportQuery(format="csv", columns=choose(names)))
    assert data.decode() == f"{names}\r\n0.30000000000000004,-1.5,1e+300,9007199254740993,true,,1\r\n"


def test_other_programs_read_the_same_records(database: Database, tmp_path: Path) -> None:
    hostile = '=1+1\r\n"quoted", and,commas \N{RIGHT-TO-LEFT OVERRIDE}'
    database.add(
        a_record(0, model=hostile, user=""), a_record(1, model="b", user=None), a_record(2, error_message="ä\n")
    )
    data = file_of(database, ExportQuery(format="csv"))
    rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    assert tuple(rows[0]) == ALL_COLUMNS
    assert [row["model"] for row in rows] == [f"'{hostile}", "b", "llama3.1:8b"]
    path = tmp_path / "records.csv"
    path.write_bytes(data)
    question = "SELECT count(*), sum(prompt_tokens), count(user), max(response_time_ms)"
    table = f"read_csv('{path}', allow_quoted_nulls = false)"
    assert asked(f"{question} FROM {table}") == [(3, 30, 1, 1125.0)]


def test_what_a_migration_kept_is_text(database: Database) -> None:
    database.add(a_record())
    carry_over(database, 1, unfit_values='{"prompt_tokens":"\'many\'"}', timestamp_original=5, outcome_original=b"\x01")
    names = "timestamp_original,outcome_original,unfit_values"
    (_, record) = records_of(file_of(database, ExportQuery(format="csv", columns=choose(names))))
    assert record == ["5", "X'01'", '{"prompt_tokens":"\'many\'"}']


def test_no_records_are_a_header_alone(database: Database) -> None:
    data = file_of(database, ExportQuery(format="csv", columns=choose("arrival,model")))
    assert data == b"arrival,model\r\n"
