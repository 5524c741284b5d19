"""The code of CONTRIBUTING.md runs, and what it builds is right."""

import re
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]


def test_an_engine_an_emission_and_a_diagnostic_follow_the_page():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.DOTALL)
    assert len(blocks) == 5
    names = {"__name__": "contributing"}
    exec("\n".join(blocks), names)

    walked = names["walked"]
    assert walked.params["mu"].shape == (2, 4, 1000)
    table = walked.summary()
    for dataset, mean in enumerate([0.75, 0.0]):  # conjugate: 3 observations and a prior of weight 1
        row = table.loc[(dataset, "mu")]
        assert abs(row["mean"] - mean) < 4 * row["mcse_mean"]
        assert abs(row["sd"] - 0.5) < 4 * row["mcse_sd"]

    fitted, waits = names["fitted"].best(), names["waits"]
    # A state of the path's own stretches: the gamma prior has little to say beside a hundred waiting times.
    short, long = np.r_[waits[:100], waits[200:]], waits[100:200]
    rates = np.sort(fitted.params["rates"])
    np.testing.assert_allclose(rates, [1 / long.mean(), 1 / short.mean()], rtol=0.15)
