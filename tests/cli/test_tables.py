"""Tables in the room that there is: numbers are never cut, names go last, and nothing of an answer is lost."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from llm_metrics_proxy.cli.tables import ListColumn, layout, list_table, print_table, widened

NAME = "meta-llama/llama-3.3-70b-instruct-fp8"
COLUMNS = (
    ListColumn("model", 24, str, least=12),
    ListColumn("end", 16, str, least=8, drop=1),
    ListColumn("total", 9, str, drop=2),
)


def printed(table: Table, width: int) -> list[str]:
    out = Console(file=io.StringIO(), width=width, highlight=False, emoji=False)
    print_table(out, table)
    text: str = out.file.getvalue()  # type: ignore[attr-defined]
    return text.splitlines()


def answer() -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("model")
    for title in ("requests", "response_time_ms.p95 (ms)", "total_tokens (tokens)"):
        table.add_column(title, justify="right")
    table.add_row(NAME, "1,234,567", "3,000.5", "18,000,000 (75%)")
    table.add_row(r"\[red]x", "1", "-", "[bold]2[/]")
    return table


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 200, 400])
def test_every_number_is_whole_at_every_width(width: int) -> None:
    lines = printed(answer(), width)
    assert all(cell_len(line) <= width for line in lines)
    text = "\n".join(lines)
    for number in ("1,234,567", "3,000.5"):
        assert number in text
    assert "…" not in text
    folded = "".join(text.split())
    assert NAME in folded or width < 100
    assert ("18,000,000 (75%)" in text) or width < 40


def test_where_there_is_no_room_each_row_is_lines_of_title_and_value() -> None:
    assert printed(answer(), 44) == [
        "",
        f"model {NAME}",
        "requests 1,234,567",
        "response_time_ms.p95 (ms) 3,000.5",
        "total_tokens (tokens) 18,000,000 (75%)",
        "",
        "model [red]x",
        "requests 1",
        "response_time_ms.p95 (ms) -",
        "total_tokens (tokens) 2",
    ]


def test_where_there_is_room_it_is_a_table_no_wider_than_what_it_says() -> None:
    lines = printed(answer(), 400)
    assert len(lines) == 3
    assert lines[0].split("  ")[0] == "model"
    assert len(lines[0].rstrip()) < 110


@given(st.integers(min_value=1, max_value=100))
def test_a_list_loses_columns_by_their_order_and_fits(width: int) -> None:
    chosen = layout(COLUMNS, width)
    assert sum(each for _, each in chosen) + 2 * (len(chosen) - 1) <= max(width, 0) or len(chosen) == 1
    assert [column.title for column, _ in chosen] == ["model", "end", "total"][: len(chosen)]
    assert all(each == column.width for column, each in chosen if not column.is_text)
    assert all(column.least <= each <= column.width for column, each in chosen if column.is_text and width >= 12)


def test_a_number_that_is_wider_than_its_column_widens_it() -> None:
    (model, end, total) = widened(COLUMNS, ["12,345,678,901"], snug=True)
    assert (model.width, end.width, total.width) == (14, 14, 14)
    assert [column.width for column in widened(COLUMNS, ["1"], snug=False)] == [24, 16, 9]
    table = list_table(layout((model, end, total), 100), ["12,345,678,901"], lambda _: None)
    assert printed(table, 100)[-1].split() == ["12,345,678,901"] * 3
