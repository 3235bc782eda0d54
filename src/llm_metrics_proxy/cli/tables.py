"""Tables that fit the width: numbers are never cut, and names are the last thing to go.

``print_table`` is for answers, which are whole: if the columns have no room next to each other, each row becomes a
few lines. ``layout`` is for lists that grow on the screen: columns give way, the least important first.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Column, Table
from rich.text import Text

GAP: Final = 2  # characters between two columns
_LEAST_TEXT: Final = 12  # a text may be folded down to this
_LEAST_TITLE: Final = 8

Cell = Callable[[Any], str | Text]


def table(
    *titles: str, numbers: Collection[str] = (), whole: Collection[str] | None = None, gap_above: bool = False
) -> Table:
    """An empty one. Columns of ``numbers`` stand right; those of ``whole`` are never folded (default: the numbers)."""
    whole = numbers if whole is None else whole
    made = Table(
        box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0),
        title=" " if gap_above else None, title_justify="left",
    )  # fmt: skip
    for title in titles:
        justify: JustifyMethod = "right" if title in numbers else "left"
        made.add_column(title, justify=justify, no_wrap=title in whole, overflow="fold")
    return made


def lines(out: Console, rows: Iterable[tuple[str, str]]) -> None:
    """Print names left and texts right, each folded under itself."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for row in rows:
        grid.add_row(*row)
    out.print(grid)


def print_table(out: Console, filled: Table) -> None:
    """As a table if every number has room in it, else row by row."""
    columns = [(column, [_text(cell) for cell in column.cells]) for column in filled.columns]
    widths = _widths([_least_and_full(column, texts) for column, texts in columns], out.width)
    if widths is not None:
        for (column, _), width in zip(columns, widths, strict=True):
            column.width, column.overflow, column.no_wrap = width, "fold", False
        out.print(filled)
        return
    titles = [_text(column.header) for column, _ in columns]
    for row in zip(*(texts for _, texts in columns), strict=True):
        out.print()
        for title, text in zip(titles, row, strict=True):
            out.print(Text.assemble((f"{title} " if title else "", "bold"), text))


def _least_and_full(column: Column, texts: Sequence[str]) -> tuple[int, int]:
    """How narrow it may be, and how wide it would be. Texts and titles may be folded, numbers not."""
    title = cell_len(_text(column.header))
    cells = max((cell_len(line) for text in texts for line in text.split("\n")), default=0)
    full = max(title, cells)
    if column.no_wrap:
        return full, full
    return max(min(title, _LEAST_TITLE), cells if column.justify == "right" else min(cells, _LEAST_TEXT)), full


def _widths(ranges: Sequence[tuple[int, int]], available: int) -> list[int] | None:
    """What there is beyond the least is shared out evenly; nothing if it is less."""
    widths = [least for least, _ in ranges]
    spare = available - sum(widths) - GAP * (len(widths) - 1)
    if spare < 0:
        return None
    while spare and (narrow := [at for at, (_, full) in enumerate(ranges) if widths[at] < full]):
        for at in narrow[:spare]:
            widths[at] += 1
        spare -= len(narrow[:spare])
    return widths


def _text(cell: Any) -> str:
    return (Text.from_markup(cell) if isinstance(cell, str) else cell).plain


class ListColumn(NamedTuple):
    """One column of a list. Texts may be cut down to ``least`` characters, numbers have a fixed width: a number that is
    cut is another number. ``drop`` says which column gives way first (highest); 0 never does."""

    title: str
    width: int
    cell: Cell
    least: int = 0
    drop: int = 0

    @property
    def is_text(self) -> bool:
        return self.least > 0


def widened(columns: Sequence[ListColumn], rows: Sequence[Any], *, snug: bool) -> list[ListColumn]:
    """Numbers get the room that those of ``rows`` need. If ``snug``, texts get no more than theirs."""
    made = []
    for column in columns:
        widest = max((cell_len(_text(text)) for text in (column.title, *map(column.cell, rows))), default=0)
        if not column.is_text:
            made.append(column._replace(width=max(column.width, widest)))
        else:
            made.append(column._replace(width=max(column.least, min(column.width, widest))) if snug else column)
    return made


def layout(columns: Sequence[ListColumn], available: int) -> list[tuple[ListColumn, int]]:
    """The columns that ``available`` characters have room for, and how wide each is. The same for every record, so
    that added lines are under the same headings."""
    kept = list(columns)
    while (widths := _widths([(each.least or each.width, each.width) for each in kept], available)) is None:
        if not any(each.drop for each in kept):
            return [(each, min(each.width, available)) for each in kept]
        kept.remove(max(kept, key=lambda each: each.drop))
    return list(zip(kept, widths, strict=True))


def list_table(
    columns: Sequence[tuple[ListColumn, int]], rows: Sequence[Any], style: Callable[[Any], str | None]
) -> Table:
    """One row for each of ``rows``, as ``layout`` chose the columns."""
    made = table()
    for column, width in columns:
        made.add_column(column.title, justify="left" if column.is_text else "right", width=width, no_wrap=True)
    for row in rows:
        made.add_row(*(column.cell(row) for column, _ in columns), style=style(row))
    return made
