"""The code of CONTRIBUTING.md runs, and what it builds is right."""

import re
from pathlib import Path

import numpy as np

import jaxlatent as jl

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

    fitted = names["fitted"].best()
    # Gradients of the marginal likelihood, which know nothing of the M-step, climb to the same mode.
    climbed = jl.fit(fitted.posterior, None, jl.Optimize(restarts=4, standard_errors=False), seed=0).best()
    np.testing.assert_allclose(fitted.objective, climbed.objective, rtol=1e-5)
    np.testing.assert_allclose(np.sort(fitted.params["rates"]), np.sort(climbed.params["rates"]), rtol=1e-2)
