"""The benchmarks compare like with like: the density of jaxlatent's models is that of the peers', up to a constant."""

import json
import zipfile
from math import exp, lgamma, sqrt

import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer.util import log_density

import jaxlatent as jl
from benchmarks.nuts import models

#: Effects that NumPyro's models have as standard normal variables "z": location and scale of each, given the other parameters.
EFFECTS = {
    "C5": ("effects", lambda p: (np.stack([p["a"], p["b"]]), p["sds"][:, None] * p["corr_chol"])),
    "schools": ("theta", lambda p: (p["mu"], p["tau"] * np.eye(8))),
    "ordered_probit": ("effects", lambda p: (0.0, p["spread"] * np.eye(40))),
    "horseshoe": ("slopes", lambda p: (0.0, np.diag(p["overall"] * p["local"]))),
}


@pytest.mark.parametrize("name", models.NAMES)
def test_all_samplers_are_given_the_same_density(name, x64):
    case = models.load(name)
    posterior = jl.condition(case.jaxlatent(), case.data)
    rng = np.random.default_rng(0)
    differences = []
    for _ in range(3):
        position = jnp.asarray(0.3 * rng.normal(size=posterior.dim))
        params = {key: np.asarray(value) for key, value in posterior.constrain(position).items()}
        ours = posterior.log_density(position, jacobian=False)
        if name in EFFECTS:
            effects, given = EFFECTS[name]
            location, scale = given(params)
            rows = np.atleast_2d(params.pop(effects) - location)
            z = np.linalg.solve(scale, rows.T).T
            params["z"] = z if name == "C5" else z[0]
            ours += len(rows) * np.linalg.slogdet(scale)[1]
        if "corr_chol" in params:
            params["L"] = params.pop("corr_chol")
        theirs, _ = log_density(case.numpyro, (), dict(case.data), params)
        differences.append(float(ours - theirs))
    assert np.ptp(differences) < 1e-6 * max(1.0, abs(float(theirs)))
    assert np.isfinite(differences).all()


@pytest.mark.parametrize(
    "name", ["C3", "schools", "logistic", "mixture", "item_response", "volatility", "ordered_probit", "horseshoe"]
)  # C5: other coordinates
def test_pymc_is_given_the_same_density(name, x64):
    """With `make test-peers`, which installs PyMC."""
    pytest.importorskip("pymc")
    case = models.load(name)
    model, rng, differences = case.pymc(), np.random.default_rng(0), []
    log_joint, start = model.compile_logp(jacobian=False), model.initial_point()
    for _ in range(3):
        params, point = {}, {}
        for variable in model.free_RVs:
            value, transform = model.rvs_to_values[variable], model.rvs_to_transforms[variable]
            free = 0.3 * rng.normal(size=start[value.name].shape)
            point[value.name] = free
            given = free if transform is None else transform.backward(free, *variable.owner.inputs).eval()
            params[variable.name] = np.asarray(given)
        theirs, _ = log_density(case.numpyro, (), dict(case.data), params)
        differences.append(float(theirs - log_joint(point)))
    assert np.ptp(differences) < 1e-6 * max(1.0, abs(float(theirs)))


def test_a_page_is_written_of_the_measurements(tmp_path, monkeypatch):
    from benchmarks import report

    monkeypatch.setattr(report, "RESULTS", tmp_path)
    entry = {
        "model": "schools", "chains": 4, "warmup": 10, "draws": 10, "seed": 0, "total_s": 2.0, "compile_s": 1.5, "run_s": 0.5,
        "min_ess_bulk": 100.0, "min_ess_tail": 90.0, "gradients_per_draw": 7.0, "gradients_sampling": 280, "divergences": 0,
        "max_rhat": 1.0, "peak_gib": 0.5, "load": 1.0, "hardware": {"cpu": "a CPU", "cores": 2}, "date": "2026-01-01T00:00:00+00:00",
        "versions": {"python": "3.11", "jax": "0.10", "numpyro": "0.22"}, "session": "2",
    }  # fmt: skip
    lines = [entry | {"competitor": "jaxlatent", "session": "1", "total_s": 99.0}]
    lines += [entry | {"competitor": "jaxlatent"}, entry | {"competitor": "numpyro_parallel", "total_s": 4.0}]
    for line in lines:
        report.record.append(tmp_path / "nuts.jsonl", line)
    page = report.write().read_text()
    # Twice the seconds for as many effective draws; the earlier session does not count.
    assert "| numpyro_parallel | 2 | 1 |" in page and "99" not in page
    assert "| schools | 50 | 25 | 2 |" in page, "cold: 100 effective draws in 2 s and in 4"
    assert (tmp_path / "nuts.svg").exists()


@pytest.mark.parametrize("fault", [None, "mean", "sd"])
def test_a_posterior_is_compared_with_its_reference(tmp_path, monkeypatch, x64, fault):
    """Of a regression with flat priors, whose moments are known."""
    from benchmarks.posteriordb import __main__ as posteriordb

    rng = np.random.default_rng(0)
    work = np.repeat([1, 2, 3, 4], 15)
    score = 80.0 + 4.0 * work + 20.0 * rng.normal(size=work.size)
    x = np.column_stack([np.ones(work.size), *(work == level for level in (2, 3, 4))])
    best, squares, *_ = np.linalg.lstsq(x, score, rcond=None)
    free = len(x) - 5
    variance = np.append(np.diag(np.linalg.inv(x.T @ x)), 1.0) * squares / (free - 2)
    mean = np.append(best, sqrt(squares[0] / 2) * exp(lgamma((free - 1) / 2) - lgamma(free / 2)))
    variance[-1] -= mean[-1] ** 2
    if fault == "mean":
        mean[2] += 0.5 * sqrt(variance[2])
    if fault == "sd":
        variance[1] *= 1.5

    name, data = "kidiq_with_mom_work-kidscore_mom_work", {"mom_work": work.tolist(), "kid_score": score.tolist()}
    names = [f"beta[{i}]" for i in (1, 2, 3, 4)] + ["sigma"]
    for kind, values in (("mean_value", mean), ("mean_squared_value", variance + mean**2)):
        folder = tmp_path / "reference_posteriors" / "summary_statistics" / kind / kind
        folder.mkdir(parents=True)
        entry = {"names": names, kind: values.tolist(), "mcse_mean": [0.0] * 5}
        (folder / f"{name}.json").write_text(json.dumps(entry))
    (tmp_path / "posteriors").mkdir()
    (tmp_path / "posteriors" / f"{name}.json").write_text(json.dumps({"reference_posterior_name": name}))
    (tmp_path / "data" / "data").mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "data" / "data" / "kidiq_with_mom_work.json.zip", "w") as archive:
        archive.writestr("kidiq_with_mom_work.json", json.dumps(data))
    monkeypatch.setenv("POSTERIORDB", str(tmp_path))
    figures = posteriordb.measured(name, {"chains": 4, "warmup": 300, "draws": 1000}, seed=0)
    assert figures["agrees"] is (fault is None), figures
