"""The command, as a user types it."""

import subprocess
import sys

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

import jaxlatent as jl
from jaxlatent import cli
from jaxlatent.demos import DEMOS, census

FIGURES = (
    "trace",
    "autocorrelation",
    "geweke",
    "forest",
    "pairs",
    "validation",
    "shrinkage",
    "advantage",
    "doctorates",
    "elbo",
)


def invoke(*arguments):
    return CliRunner().invoke(cli.app, arguments)


SIZES = ("--chains", "2", "--warmup", "60", "--draws", "40")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo with one model in the place of all five, which compiles once."""
    out = tmp_path_factory.mktemp("census")
    one = census.partial_pooling()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("pooled", "no_pooling", "correlated"):
            patch.setattr(census, name, lambda *centring: one)
        return invoke("demo", "census", "--out", str(out), *SIZES), out


def test_demos_are_listed():
    result = invoke("demo")
    assert result.exit_code == 0
    assert all(name in result.output for name in DEMOS)


def test_help_and_version():
    assert "demo" in invoke("--help").output
    assert "--centring" in invoke("demo", "census", "--help").output
    assert invoke("--version").output.strip() == f"jaxlatent {jl.__version__}"
    module = subprocess.run([sys.executable, "-m", "jaxlatent", "--version"], capture_output=True, text=True)
    assert module.stdout.strip() == f"jaxlatent {jl.__version__}", module.stderr


STUDY = """
import numpy as np
import numpyro.distributions as dist
import jaxlatent as jl

def study():
    model = jl.Model({"mu": dist.Normal(0.0, 2.0)}, lambda p, d: {"y": dist.Normal(p.mu, 1.0)})
    data = jl.batch({"ann": {"y": np.ones(3)}, "bob": {"y": np.zeros(3)}})
    return {"model": model, "data": data, "engine": jl.NUTS(chains=2, warmup=50, draws=25), "seed": 0}

with_shard = lambda: {**study(), "shard": (0, 2)}
with_typo = lambda: {**study(), "untill": None}
"""


def test_a_study_is_fitted_shown_and_not_fitted_again(tmp_path):
    (tmp_path / "study.py").write_text(STUDY)
    command = ("fit", f"{tmp_path}/study.py:study", "--store", f"{tmp_path}/x.zarr")
    result = invoke(*command)
    assert result.exit_code == 0 and "4 OK" in result.output, result.output
    made = jl.open(tmp_path / "x.zarr")
    assert made.names == ("ann", "bob") and made.positions.shape == (2, 2, 25, 1)
    assert invoke(*command).exit_code == 0
    assert jl.open(tmp_path / "x.zarr").provenance == made.provenance
    shown = invoke("status", f"{tmp_path}/x.zarr").output
    assert "finished" in shown and "NUTS(chains=2" in shown and "mu (1 unknowns)" in shown


def test_a_study_is_fitted_in_shards(tmp_path):
    (tmp_path / "study.py").write_text(STUDY)
    command = ("fit", f"{tmp_path}/study.py:study", "--store", f"{tmp_path}/x.zarr", "--shard")
    assert invoke(*command, "1/2").exit_code == 0
    shown = invoke("status", f"{tmp_path}/x.zarr").output
    assert "nothing there" in shown and "finished" in shown
    assert invoke(*command, "0/2").exit_code == 0
    assert jl.open(tmp_path / "x.zarr").names == ("ann", "bob")


@pytest.mark.parametrize(
    ("study", "more", "words"),
    [
        ("nothing.py:study", (), "check the path"),
        ("study.py:none", (), "no function 'none'"),
        ("study.py:STUDY", (), "no function 'STUDY'"),
        ("study.py:study", ("--shard", "3"), "0/10"),
        ("study.py:study", ("--shard", "2/2"), "count from 0"),
        ("study.py:study", ("--seed", "1", "--store", "{}/study.py"), "a file"),
        ("study.py:with_shard", (), "'shard' among the arguments"),
        ("study.py:with_typo", (), "did you mean 'until'"),
    ],
)
def test_a_study_that_cannot_be_fitted_says_why(tmp_path, study, more, words):
    (tmp_path / "study.py").write_text(STUDY)
    options = ("--store", f"{tmp_path}/x.zarr", *(option.format(tmp_path) for option in more))
    result = CliRunner().invoke(cli.app, ("fit", f"{tmp_path}/{study}", *options))
    assert result.exit_code == 2 and words in result.output, result.output


def test_devices_are_shown():
    result = invoke("devices")
    assert result.exit_code == 0
    assert "cpu" in result.output
    assert "x64" in result.output


def test_an_error_of_the_package_is_plain(monkeypatch, tmp_path):
    result = invoke("demo", "census", "--out", str(tmp_path), "--chains", "0")
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert "chains" in result.output


def test_an_interruption_is_quiet(monkeypatch, tmp_path):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxlatent.demos.census_run.run", interrupted)
    result = invoke("demo", "census", "--out", str(tmp_path))
    assert result.exit_code == 130
    assert "interrupted" in result.output


def test_the_census_demo_prints_its_tables(demo):
    result, _ = demo
    assert result.exit_code == 0, result.output
    for text in ("C1", "C5", "R-hat", "MAP", "k-hat", "WAIC", "LOO", "stacking", "mcse", "women with doctorates"):
        assert text in result.output


@pytest.mark.slow
@pytest.mark.parametrize("centring", list(cli.Centring))
def test_the_census_demo_runs_its_five_models(tmp_path, centring):
    result = invoke("demo", "census", "--out", str(tmp_path), "--centring", centring, *SIZES)
    assert result.exit_code == 0, result.output
    for text in (
        "C1 pooled",
        "C2 no pooling",
        "C3 partial pooling",
        "C4 correlated",
        f"C5 correlated, {centring}",
        "sds[bm]",
    ):
        assert text in result.output


def test_the_census_demo_writes_figures(demo):
    _, out = demo
    for name in FIGURES:
        assert (out / "figures" / f"{name}.svg").stat().st_size > 5000


def test_the_draws_are_read_by_xarray_and_arviz(demo):
    _, out = demo
    for name in ("C1", "C2", "C3", "C4", "C5"):
        path = out / "draws" / f"{name}.nc"
        posterior = xr.open_dataset(path, group="posterior")
        assert dict(posterior.sizes)["chain"] == 2
        assert dict(posterior.sizes)["draw"] == 40
        idata = az.from_netcdf(path)
        np.testing.assert_array_equal(idata["posterior"]["p"].values, posterior["p"].values)
        assert idata["log_likelihood"]["income"].shape == (2, 40, 14)
        assert idata["sample_stats"]["diverging"].dtype == bool
    assert list(posterior["education"].values[:2]) == ["Some HS", "HS Grad"]


def test_the_summary_is_a_table(demo):
    _, out = demo
    table = pd.read_csv(out / "summary.csv", index_col=["model", "parameter"])
    assert np.isfinite(table.loc[("C3", "alpha[HS Grad]"), "mean"])
