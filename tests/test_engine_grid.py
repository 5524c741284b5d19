"""Every engine compiles on one device, whatever the numbers of datasets, lanes and dimensions."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from engine_grid import ENGINES, FEW, covering

HERE = Path(__file__).parent


def run(*engine):
    """In a process of its own, which XLA ends where it fails."""
    grid = [sys.executable, str(HERE / "engine_grid.py"), *engine]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    ended = subprocess.run(grid, capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, (
        f"{(ended.stdout.splitlines() or ['before the first case'])[-1]}\n{ended.stderr[-4000:]}"
    )


def test_each_pair_of_sizes():
    cases = list(covering())
    for i, j in ((1, 2), (1, 3), (2, 3)):
        assert len({(case[i], case[j]) for case in cases}) >= len(FEW) ** 2
    run()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_the_whole_grid(engine):
    run(engine)
