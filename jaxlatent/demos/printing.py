"""`print_table`: a table on a console, in parts where it is wider."""

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

#: Columns of space between two columns of a table.
_GAP = 2


def print_table(
    console: Console, title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], title_style: str = "bold"
) -> None:
    """Print a table with the names of its rows in the first column, and right-aligned numbers.

    Rich shortens cells that do not fit, and a number that is cut is another number. So columns for which the console is too narrow follow
    below, with the names again.
    """
    rows = [list(row) for row in rows]
    widths = [max(cell_len(cell) for cell in column) + _GAP for column in zip(heads, *rows, strict=True)]
    console.print(f"\n{title}", style=title_style, markup=False, highlight=False)
    shown = 1
    while shown < len(heads):
        begin, room = shown, console.width - widths[0] - widths[shown]
        shown += 1
        while shown < len(heads) and widths[shown] <= room:
            room -= widths[shown]
            shown += 1
        table = Table(box=None, padding=(0, _GAP, 0, 0))
        for i in (0, *range(begin, shown)):
            table.add_column(heads[i], justify="right" if i else "left", no_wrap=True)
        for row in rows:
            table.add_row(row[0], *row[begin:shown])
        console.print(table, markup=False)
