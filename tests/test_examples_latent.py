"""Every example of latent-variable models runs as its docstring says, keeps its own promises, and leaves its figure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMES = [
    "bag_of_balls",
    "bayesian_density_network",
    "em_by_hand",
    "gaussian_hmm",
    "gaussian_mixture",
    "glm_hmm",
    "mixture_density_network",
    "mixture_of_experts",
    "mixture_of_regressions",
    "normal_mean",
    "normal_mixture",
    "switching_chain",
    "trials_from_table",
]
CASES = [[name] for name in NAMES] + [["bag_of_balls", c] for c in ("runs", "waits", "counts", "times", "levels")]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_an_example_runs(case, tmp_path):
    name, *arguments = case
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (tmp_path / "runs" / "examples" / f"{name}.png").stat().st_size > 10_000
