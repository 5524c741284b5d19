"""Tables of the demos: whole on any console."""

import io

import pytest
from rich.console import Console

from jaxlatent.demos.printing import print_table

HEADS = ["", "mean", "sd", "3%", "97%", "ESS bulk", "win-stay-lose-switch", "[x]"]
ROWS = [["alpha[Some HS]", "-3.141", "0.123", "-3.5", "-2.9", "1894", "0.51 (0.4)", "é"], ["b", *["1.0"] * 7]]


@pytest.mark.parametrize("width", [40, 60, 80, 132])
def test_no_cell_is_cut_on_a_narrow_console(width):
    console = Console(width=width, file=io.StringIO())
    print_table(console, "all [animals]", HEADS, ROWS)
    title, *lines = console.file.getvalue().strip().splitlines()
    assert title == "all [animals]" and max(map(len, lines)) <= width
    words = " ".join(lines)
    assert all(cell in words for cell in [*HEADS, *ROWS[0]]) and "…" not in words
    # The names of the rows stand before each part.
    assert words.count("alpha[Some HS]") == len([line for line in lines if line.startswith("b ")])
    assert (words.count("alpha[Some HS]") == 1) == (width >= 80)


def test_columns_stand_in_order_under_their_heads():
    console = Console(width=60, file=io.StringIO())
    print_table(console, "t", HEADS, ROWS)
    lines = [line for line in console.file.getvalue().splitlines() if "mean" in line or "alpha" in line]
    head, row = lines[:2]
    assert head.index("mean") + len("mean") == row.index("-3.141") + len("-3.141")
