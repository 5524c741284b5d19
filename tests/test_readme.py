"""The README's Python runs, top to bottom, as a reader would paste it, whether or not each core is made a device."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORES = "jl.use_cpu_cores()"


@pytest.mark.parametrize(
    "one_device", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["one device", "as it stands"]
)
def test_snippets_run_in_order(one_device, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert len(blocks) >= 3 and CORES in blocks[0]
    program = "\n".join(blocks)
    program = program.replace(CORES, "") if one_device else program
    program += "\nassert many.params['theta'].shape == (20, 2, 200, 8)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert ended.returncode == 0, ended.stderr
    assert "theta[A]" in ended.stdout
