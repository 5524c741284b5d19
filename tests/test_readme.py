"""The README's Python runs, top to bottom, as a reader would paste it, and prints what the page says."""

from pathlib import Path

import pytest
import run_docs

README = Path(__file__).parents[1] / "README.md"
CORES = "jl.use_cpu_cores()"


@pytest.mark.parametrize(
    "one_device", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["one device", "as it stands"]
)
def test_snippets_run_in_order_and_print_what_the_page_says(one_device, tmp_path):
    blocks = run_docs.blocks_of(README.read_text())
    assert len(blocks) == 2 and CORES in blocks[0].code
    if one_device:
        blocks[0] = blocks[0]._replace(code=blocks[0].code.replace(CORES, ""))
    printed = run_docs.run(blocks, tmp_path, {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"})
    assert "theta[A]" in printed[0] and "(20, 2, 200, 8)" in printed[1]
    assert not run_docs.differences(blocks, printed)
    assert (tmp_path / "schools.svg").exists()


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 150
