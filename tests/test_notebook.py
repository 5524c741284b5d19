"""What a notebook shows: well-formed HTML with what was written, how the fit ended and what was estimated."""

import re
from xml.etree import ElementTree

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import jaxlatent as jl
from jaxlatent.pages.source import body_of

DATA = {"y": np.random.default_rng(0).normal(size=30)}


def words(html):
    """The text of well-formed HTML."""
    return re.sub(r"\s+", " ", " ".join(ElementTree.fromstring(html).itertext()))


def normal(p, d):
    return {"y": dist.Normal(p.mu, p.s)}


MODEL = jl.Model(
    prior={"mu": dist.Normal(0.0, 5.0), "s": lambda p: dist.HalfNormal(1.0 + jnp.abs(p.mu))},
    likelihood=normal,
    derived=lambda p, d: {"a<b": (p.mu < p.s) & (d.y.sum() < 3)},
    dims={"y": ("row",)},
    name="<a & b>",
)


def test_a_model_is_shown_as_it_was_written():
    shown = words(MODEL._repr_html_())
    for part in (
        "<a & b>",
        "Normal(0, 5)",
        "dist.HalfNormal(1.0 + jnp.abs(p.mu))",
        "def normal(p, d):",
        "(p.mu < p.s) & (d.y.sum() < 3)",
    ):
        assert part in shown


def test_functions_of_one_line_are_told_apart_and_others_are_named():
    first, second = (lambda p: p.a + 1), (lambda p: p.b + 2)
    assert (body_of(first), body_of(second)) == ("p.a + 1", "p.b + 2")
    scale = 2.0
    assert body_of(lambda p: scale * p.a) == "scale * p.a"
    assert body_of(eval("lambda p: p.a")) == "<lambda>"
    assert body_of(np.sin) == "sin"


@pytest.mark.parametrize(
    "engine", [jl.NUTS(chains=2, warmup=50, draws=50), jl.Optimize(restarts=2)], ids=lambda e: type(e).__name__
)
def test_a_result_says_how_it_ended_and_what_it_found(engine):
    result = jl.fit(MODEL, DATA, engine, seed=0)
    shown = words(result._repr_html_())
    assert "2 OK" in shown or "2 CONVERGED" in shown
    assert type(engine).__name__ in shown and "s" in shown and "result.check()" in shown
    kept = result if result.has_draws else result.best()
    assert f"{kept.summary().iloc[0, 0]:.4g}" in shown


def test_of_a_batch_the_first_datasets_are_shown_and_those_that_failed():
    datasets = {f"set {i}": {"y": DATA["y"] + i} for i in range(25)} | {"bad": {"y": np.full(30, np.nan)}}
    with pytest.warns(UserWarning, match="quarantined"):
        result = jl.fit(MODEL, jl.batch(datasets), jl.Optimize(), seed=0, on_bad_data="quarantine")
    shown = words(result._repr_html_())
    assert "the first 20 of 26" in shown and "set 3" in shown and "bad was not fitted" in shown


def test_prior_draws_are_shown_as_arviz_shows_them():
    assert "prior_predictive" in jl.sample_prior(MODEL, DATA, 3, seed=0)._repr_html_()


def test_a_stored_result_is_shown_without_its_model_and_a_large_one_without_reading_its_draws(tmp_path, monkeypatch):
    jl.fit(MODEL, DATA, jl.NUTS(chains=2, warmup=50, draws=50), seed=0, store=tmp_path / "run.zarr")
    assert "2 OK" in words(jl.open(tmp_path / "run.zarr")._repr_html_())
    opened = jl.open(tmp_path / "run.zarr", MODEL)
    monkeypatch.setattr("jaxlatent.pages.notebook._NUMBERS", 100)
    monkeypatch.setattr(type(opened), "summary", None)
    assert "result.summary() has the estimates" in words(opened._repr_html_())


def test_a_posterior_shows_what_is_unknown_and_its_data():
    shown = words(jl.condition(MODEL, {"y": jl.Masked(DATA["y"], np.arange(30) > 2)})._repr_html_())
    for part in ("<a & b>", "positions of length 2", "mu s", "one dataset", "y (30,) float32 3 of 30"):
        assert part.replace(" ", "") in shown.replace(" ", "").replace(",s;", "s;"), part
    bare = jl.from_log_density(lambda p, scale: -p["x"] @ p["x"] / scale["s"], {"x": jnp.zeros(3)}, args=({"s": 2.0},))
    assert "0.s()float32" in words(bare._repr_html_()).replace(" ", "")


def test_a_batch_shows_its_datasets_and_the_entries_of_each():
    ragged = {f"set {i}": {"y": [DATA["y"][:20], DATA["y"][:10]], "x": np.arange(3)} for i in range(25)}
    shown = words(jl.batch(ragged)._repr_html_())
    for part in ("25 datasets", "set 19, …", "y (2, 20) float32 250 of 1,000", "x (3,) int32"):
        assert part in shown, (part, shown)
    assert "posterior.log_density" in words(jl.condition(MODEL, jl.batch([DATA, DATA]))._repr_html_())


CELLS = [
    "import numpy as np, numpyro.distributions as dist, jaxlatent as jl\n"
    "model = jl.Model({'mu': dist.Normal(0.0, 5.0)}, lambda p, d: {'y': dist.Normal(p.mu, 1.0)})\n"
    "data = {'y': np.ones(4)}\n"
    "model.graph(data)",
    "model",
    "result = jl.fit(model, data, jl.Optimize(), seed=0)\nresult",
    "result.save('notebook.zarr')",
    "quiet = jl.fit(model, data, jl.Optimize(), seed=0, progress=False)",
]


def test_a_notebook_is_executed(tmp_path):
    """A kernel runs it: the graph without Graphviz, a bar that has moved to its end, the result, a store."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [[out.data for out in cell.outputs if "data" in out] for cell in notebook.cells]
    (graph,), (written,), (bar, fit), nothing, quiet = shown
    assert "<svg" in graph["image/svg+xml"] and "Normal(0, 5)" in words(written["text/html"])
    done, total = re.match(r"model · Optimize: ([\d,]+)/([\d,]+), [\d.]+ s", bar["text/plain"]).groups()
    assert 0 < int(done.replace(",", "")) <= int(total.replace(",", ""))
    assert ElementTree.fromstring(bar["text/html"]).find("progress").get("value") == done.replace(",", "")
    assert "CONVERGED" in words(fit["text/html"]) and not nothing and not quiet
    assert jl.open(tmp_path / "notebook.zarr").params["mu"].shape == (1,)
