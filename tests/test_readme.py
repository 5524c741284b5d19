"""The README's Python runs, top to bottom, as a reader would paste it."""

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_snippets_run_in_order(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(blocks) >= 3
    namespace: dict = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), namespace)
    assert namespace["many"].params["theta"].shape == (20, 2, 200, 8)
    assert "theta[A]" in capsys.readouterr().out
