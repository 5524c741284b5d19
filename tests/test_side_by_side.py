"""The lines of `docs/side-by-side.md` are as many as its table says, and ours are no more. `make docs` runs ours."""

import ast
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "side-by-side.md").read_text()
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, flags=re.DOTALL | re.MULTILINE))
BLOCK = re.compile(r'^```python title="([^"]+)"\n(.*?)^```$', flags=re.DOTALL | re.MULTILINE)
TABLE = re.findall(r"^\| \[[^]]+\]\(#([\w-]+)\) \| [^|]+ \| (\d+) \| (\d+) \|$", PAGE, flags=re.MULTILINE)


def lines(code):
    """The number of lines with code: without comments and blank lines."""
    ast.parse(code)
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in code.splitlines())


@pytest.mark.parametrize("section", SECTIONS)
def test_the_table_counts_the_lines_of_the_page(section):
    theirs = ours = 0
    for title, code in BLOCK.findall(SECTIONS[section]):
        if ":" in title:
            theirs += lines(code)
        else:
            ours += lines(code)
    said = {anchor: (int(peer), int(own)) for anchor, peer, own in TABLE}
    assert said[section.lower().replace(" ", "-")] == (theirs, ours)
    assert 0 < ours <= theirs
