"""One bad dataset of a batch never costs the others: it is named, its values are NaN, and theirs are what they would be without it."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import jaxlatent as jl

MODEL = jl.Model(
    {"rate": dist.Gamma(2.0, 1.0)},
    lambda p, d: {"y": dist.Poisson(p.rate).expand([4]), "z": dist.Normal(p.rate, 1.0).expand([4])},
    derived=lambda p, d: {"double": 2 * p.rate},
)
GOOD = {"y": np.array([1, 2, 0, 3]), "z": np.array([1.0, 2.0, 0.5, 3.0])}
BAD = {
    "nan": {**GOOD, "z": np.array([1.0, np.nan, 0.5, 3.0])},
    "support": {**GOOD, "y": np.array([1, -2, 0, 3])},
    "axes": {**GOOD, "z": np.ones((4, 2))},
    "names": {"y": GOOD["y"]},
    # Its square is infinite.
    "huge": {**GOOD, "z": np.array([1.0, float(jnp.finfo(jnp.result_type(float)).max) ** 0.6, 0.5, 3.0])},
}
NUTS = jl.NUTS(chains=2, warmup=30, draws=20)
ENGINES = [NUTS, jl.Optimize(restarts=2), jl.ADVI(restarts=2, draws=25, max_iter=50)]


@pytest.mark.filterwarnings("ignore:ADVI")
@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: type(engine).__name__)
def test_the_others_are_what_they_would_be_with_a_sound_dataset_in_its_place(engine):
    names = ["first", *BAD, "last"]
    batch = jl.batch({name: BAD.get(name, GOOD) for name in names})
    with pytest.warns(UserWarning, match="5 of 7 datasets were quarantined"):
        result = jl.fit(MODEL, batch, engine, 0, on_bad_data="quarantine")
    sound = jl.fit(MODEL, jl.batch(dict.fromkeys(names, GOOD)), engine, 0)
    for name in ("first", "last"):
        np.testing.assert_array_equal(result[name].params["rate"], sound[name].params["rate"])
        assert not set(result[name].status) & {jl.Status.QUARANTINED, jl.Status.NON_FINITE}
    assert result.quarantined.keys() == BAD.keys() and result.failed == tuple(BAD)
    for name in BAD:
        one = result[name]
        expected = jl.Status.NON_FINITE if name == "huge" else jl.Status.QUARANTINED
        assert (one.status == expected).all() and name in one.quarantined[name]
        for value in (*one.params.values(), *one.derived.values(), one.positions, one.objective):
            assert np.isnan(value).all()
    assert "Poisson" in result.quarantined["support"] and "1 of 4 values not finite" in result.quarantined["nan"]


@pytest.fixture(scope="module")
def points():
    names = ["first", "huge", "last"]
    with pytest.warns(UserWarning, match="'huge'"):
        return jl.fit(MODEL, jl.batch({name: BAD.get(name, GOOD) for name in names}), jl.Optimize(restarts=2), 0)


def test_data_without_a_finite_density_get_a_status_unasked(points):
    assert (points["huge"].status == jl.Status.NON_FINITE).all() and points.failed == ("huge",)
    assert "likelihood of 'z'" in points.quarantined["huge"]
    with pytest.raises(jl.InputError, match="likelihood of 'z'"):
        jl.fit(MODEL, BAD["huge"], jl.Optimize(), 0)


def test_best_points_and_what_follows_are_nan_there_and_nowhere_else(points):
    with pytest.warns(UserWarning, match="of huge"):
        best = points.best()
    assert np.isnan(best.params["rate"]).tolist() == [False, True, False]
    for values in (best.log_likelihood(), best.predict(0), points.predict(0), {"": best.score()}, points.criteria()):
        for name, value in values.items():
            if name != "free_parameters":
                assert np.isnan(value[1]).all() and np.isfinite(value[[0, 2]]).all()
    means = best.conditional(name="z").mean()
    assert np.isnan(means[1]).all() and np.isfinite(means[[0, 2]]).all()
    assert np.isnan(points["huge"].conditional(name="z").mean()).all()
    with pytest.raises(jl.InputError, match="NaN or infinite") as caught:
        points["huge"].best()
    assert "stopping rule" not in str(caught.value)


def test_what_failed_can_be_selected(points):
    batch = jl.batch({name: BAD.get(name, GOOD) for name in ("first", "nan", "last")})
    assert batch.select(["last"]).names == ("last",) and not batch.select(["last"]).problems
    assert list(batch.select(["nan", "first"]).problems) == ["nan"]
    np.testing.assert_array_equal(batch.select(["last"])[0]["y"], GOOD["y"])
    for names in (["other"], [], "last"):
        with pytest.raises(jl.InputError, match=r"batch\.select"):
            batch.select(names)
    with pytest.raises(jl.InputError, match=r"result\.failed"):
        points["first"].failed  # noqa: B018


def test_the_default_raises_before_any_work():
    for name in ("nan", "axes", "names", "support"):
        batch = jl.batch({"first": GOOD, name: BAD[name]})
        with pytest.raises(jl.InputError, match=f"dataset '{name}'"):
            jl.fit(MODEL, batch, NUTS, 0)
    batch = jl.batch({"first": GOOD, "nan": BAD["nan"]})
    assert jl.batch([GOOD]).checked()
    for use in (
        lambda: jl.condition(MODEL, batch),
        lambda: jl.from_log_density(lambda p, d: -jnp.sum((d["z"] - p["x"]) ** 2), {"x": 0.0}, args=batch),
        lambda: jl.from_numpyro(lambda y, z: None, batch),
    ):
        with pytest.raises(jl.InputError, match="dataset 'nan'"):
            use()


def test_nothing_is_left_if_all_are_bad():
    with pytest.raises(jl.InputError, match="dataset 0"):
        jl.batch([BAD["nan"], BAD["nan"]])
    with pytest.raises(jl.InputError, match="observation 'y'"):
        jl.fit(MODEL, jl.batch([BAD["support"]] * 2), NUTS, 0, on_bad_data="quarantine")
