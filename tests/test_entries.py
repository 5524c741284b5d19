"""Values of data that JAX would take in silence: indices that it clips, masked entries that count as zero."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import jaxlatent as jl
from jaxlatent.data.arrays import as_data
from jaxlatent.data.batches import labelled
from jaxlatent.model.checks import check_fit, check_use
from jaxlatent.models import emissions

RNG = np.random.default_rng(0)
N = 12
G = np.arange(N) % 5
X, Y = RNG.normal(size=(2, N))
SEEN = np.arange(N) >= 3


def check(model, data):
    """What `jaxlatent.fit` does before it compiles anything."""
    for label, one in labelled(data if isinstance(data, jl.Batch) else as_data(data)):
        check_fit(model, one, label)


def groups(mean):
    """Five groups, and what ``mean`` makes of them and the data."""
    prior = {"alpha": dist.Normal(0.0, 1.0).expand([5]).to_event(1)}
    return jl.Model(prior, lambda p, d: {"y": dist.Normal(mean(p.alpha, d), 1.0)})


PLAIN = groups(lambda alpha, d: alpha[d.g])
FROM_ONE = {"y": Y, "g": G + 1}
MISSING = {"y": Y, "g": np.where(G == 2, -1, G)}

OUT_OF_RANGE = {
    "labels from 1": (PLAIN, FROM_ONE, "from 1 to 5"),
    "a missing value of pandas": (PLAIN, MISSING, "from -1 to 4"),
    "of unsigned integers": (PLAIN, {"y": Y, "g": (G + 1).astype(np.uint8)}, "from 1 to 5"),
    "of floats": (groups(lambda alpha, d: alpha[d.g.astype(int)]), {"y": Y, "g": G + 1.0}, "from 1 to 5"),
    "computed": (groups(lambda alpha, d: alpha[d.g - 1]), {"y": Y, "g": G}, "from -1 to 3"),
    "of one number": (groups(lambda alpha, d: alpha[d.k]), {"y": Y, "k": 5}, "from 5 to 5"),
    "by take": (groups(lambda alpha, d: jnp.take(alpha, d.g)), FROM_ONE, "from 1 to 5"),
    "under vmap": (groups(lambda alpha, d: jax.vmap(lambda i: alpha[i])(d.g)), FROM_ONE, "from 1 to 5"),
    "in one dataset": (PLAIN, jl.batch({"good": {"y": Y, "g": G}, "bad": FROM_ONE}), "dataset 'bad', data 'g'"),
    "by the prior": (
        jl.Model(
            {
                "a": dist.Normal(0.0, 1.0).expand([2]).to_event(1),
                "b": lambda p, d: dist.Normal(p.a[d.g], 1.0).to_event(1),
            },
            lambda p, d: {"y": dist.Normal(p.b, 1.0)},
        ),
        {"y": Y, "g": G},
        "the prior of 'b'",
    ),
}

HARMLESS = {
    "in range": (PLAIN, {"y": Y, "g": G}),
    "counted from the end on purpose": (
        groups(lambda alpha, d: alpha[-1] + alpha[jnp.array([-2, -1])].sum()),
        {"y": Y},
    ),
    "out of range where nothing looks": (groups(lambda alpha, d: jnp.where(d.g < 0, 0.0, alpha[d.g])), MISSING),
    "out of range times zero": (groups(lambda alpha, d: alpha[d.g] * (d.g >= 0)), MISSING),
    "from 1, and told so": (groups(lambda alpha, d: alpha[d.g - 1]), FROM_ONE),
    "filled": (groups(lambda alpha, d: jnp.take(alpha, d.g, mode="fill", fill_value=0.0)), FROM_ONE),
    "clipped on purpose": (groups(lambda alpha, d: jnp.take(alpha, d.g, mode="clip")), FROM_ONE),
    "one-hot": (groups(lambda alpha, d: jax.nn.one_hot(d.g, 5) @ alpha), FROM_ONE),
    "where the observation is masked": (PLAIN, {**MISSING, "y": jl.Masked(Y, G != 2)}),
    "padding": (PLAIN, jl.batch([{"y": Y, "g": G}, {"y": Y[:4], "g": G[:4]}])),
}


@pytest.mark.parametrize("model, data, words", OUT_OF_RANGE.values(), ids=OUT_OF_RANGE)
def test_an_index_out_of_range_is_refused(model, data, words):
    with pytest.raises(jl.InputError, match=words) as caught:
        check(model, data)
    assert "count from 0" in caught.value.remedy and "parameter" in caught.value.got


@pytest.mark.parametrize("model, data", HARMLESS.values(), ids=HARMLESS)
def test_an_index_that_changes_nothing_is_not(model, data):
    check(model, data)


def line(mean):
    return jl.Model({"b": dist.Normal(0.0, 1.0)}, lambda p, d: {"y": dist.Normal(mean(p.b, d), 1.0)})


LINE = line(lambda b, d: b * d.x)
LOST = {"y": Y, "x": jl.Masked(np.where(SEEN, X, np.nan), SEEN)}
REGRESSION = jl.models.hmm(2, emissions.LinearRegression(1))
GAP = jl.Masked(X[:, None], np.arange(N) != 4)
IMPUTED = jl.Model(
    {"b": dist.Normal(0.0, 1.0), "lost": dist.Normal(0.0, 1.0).expand([3]).to_event(1)},
    lambda p, d: {"x": dist.Normal(0.0, 1.0), "y": dist.Normal(p.b * d.x.at[:3].set(p.lost), 1.0)},
)

READ = {
    "a covariate": (LINE, LOST, "the likelihood of 'y'"),
    "a covariate of far observations": (LINE, {**LOST, "y": 1e4 + Y}, "the likelihood of 'y'"),
    "NumPy's masks": (LINE, {"y": Y, "x": np.ma.masked_less(X, 0.0)}, "the likelihood of 'y'"),
    "observed in part": (LINE, {**LOST, "y": jl.Masked(Y, np.arange(N) >= 2)}, "the likelihood of 'y'"),
    "labels": (PLAIN, {"y": Y, "g": jl.Masked(G, SEEN)}, "the likelihood of 'y'"),
    "an observation read by another": (
        jl.Model(LINE.prior, lambda p, d: {"x": dist.Normal(0.0, 1.0), "y": dist.Normal(p.b * d.x, 1.0)}),
        LOST,
        "the likelihood of 'y'",
    ),
    "a mean over padding": (
        line(lambda b, d: b * (d.x - d.x.mean())),
        jl.batch([{"y": Y, "x": X}, {"y": Y[:4], "x": X[:4]}]),
        "dataset 1, data 'x'",
    ),
    "inputs of a chain": (REGRESSION, {"y": Y, "x": GAP}, "the likelihood of 'y'"),
}

UNREAD = {
    "the step before": (jl.models.hmm(2, emissions.Autoregression(1)), {"y": jl.Masked(Y, np.arange(N) != 4)}),
    "masked in the observation too": (LINE, {**LOST, "y": jl.Masked(Y, SEEN)}),
    "more masked in the observation": (LINE, {**LOST, "y": jl.Masked(Y, np.arange(N) >= 5)}),
    "imputed": (IMPUTED, LOST),
    "padding of datasets": (LINE, jl.batch([{"y": Y, "x": X}, {"y": Y[:4], "x": X[:4]}])),
    "padding of sequences": (REGRESSION, {"y": [Y[:8], Y[8:]], "x": [X[:8, None], X[8:, None]]}),
    "an observation": (jl.Model(LINE.prior, lambda p, d: {"y": dist.Normal(p.b, 1.0)}), {"y": jl.Masked(Y, SEEN)}),
}


@pytest.mark.parametrize("model, data, words", READ.values(), ids=READ)
def test_a_masked_entry_that_is_read_is_refused(model, data, words):
    with pytest.raises(jl.InputError, match=words) as caught:
        check(model, data)
    assert "masked" in caught.value.got and "impute" in caught.value.remedy


@pytest.mark.parametrize("model, data", UNREAD.values(), ids=UNREAD)
def test_a_masked_entry_that_nothing_reads_is_not(model, data):
    check(model, data)


@pytest.mark.parametrize(
    "model, data, words",
    [
        (PLAIN, {"g": np.array([0, 5])}, "new_levels=True"),
        (PLAIN, {"h": G}, "no data 'g'"),
        (LINE, {"x": LOST["x"]}, "masked"),
    ],
    ids=["a group that was not in the data", "a covariate that is not there", "a gap"],
)
def test_predictions_are_refused_for_the_same_reasons(model, data, words):
    params = {"alpha": jnp.arange(5.0)} if model is PLAIN else {"b": jnp.ones(())}
    with pytest.raises(jl.InputError, match=words):
        check_use(model, params, as_data(data), "predict")


def test_predictions_of_padded_rows_are_not():
    check_use(LINE, {"b": jnp.ones(())}, as_data({"x": [X[:3], X[:5]]}), "predict")


ENDS = {
    "the last rows": jl.Masked(np.where(SEEN[::-1], X, np.nan), SEEN[::-1]),
    "NumPy's masks": np.ma.masked_array(X, ~SEEN[::-1]),
    "the last steps of all sequences": jl.Masked(X.reshape(2, 6), np.arange(6) < [[4], [5]]),
    "all rows": jl.Masked(X, np.zeros(N, bool)),
}


@pytest.mark.parametrize("x", ENDS.values(), ids=ENDS)
def test_the_end_is_no_padding_where_nothing_is_longer(x):
    with pytest.raises(jl.InputError, match=r"data 'x'[^$]*masked"):
        check_use(LINE, {"b": jnp.ones(())}, as_data({"x": x}), "predict")


def test_padding_of_a_batch_is_told_from_rows_that_are_lost():
    result = jl.fit(LINE, {"y": Y, "x": X}, jl.Optimize(), 0)
    fits = jl.fit(LINE, jl.batch([{"y": Y, "x": X}, {"y": Y[:8], "x": X[:8]}]), jl.Optimize(), 0)
    with pytest.raises(jl.InputError, match=r"data 'x'[^$]*masked"):
        result.predict(0, {"x": ENDS["the last rows"]})
    fits.predict(0, jl.batch([{"x": X}, {"x": X[:8]}]))
    with pytest.raises(jl.InputError, match=r"dataset 0, data 'x'[^$]*masked"):
        fits.predict(0, jl.batch([{"x": ENDS["the last rows"]}, {"x": X[:8]}]))


def test_what_reads_nothing_is_no_trouble():
    constant = jl.Model(
        prior={"b": dist.Normal(0.0, 1.0)},
        likelihood=lambda p, d: {"y": dist.Normal(0.0, 1.0), "z": dist.Normal(p.b, 1.0)},
        derived=lambda p, d: {"one": 1.0},
    )
    check(constant, {"y": Y, "z": Y})


def test_scores_need_the_observation():
    with pytest.raises(jl.InputError, match="observation 'y'"):
        check_use(LINE, {"b": jnp.ones(())}, as_data({"x": X}), "score")


def test_fit_and_predict_check():
    with pytest.raises(jl.InputError, match="from 1 to 5"):
        jl.fit(PLAIN, FROM_ONE, jl.Optimize(), 0)
    result = jl.fit(PLAIN, {"y": Y, "g": G}, jl.Optimize(), 0)
    for use in (lambda data: result.predict(1, data), result.log_likelihood, result.conditional):
        with pytest.raises(jl.InputError, match="from 1 to 5"):
            use(FROM_ONE)


@pytest.mark.parametrize("data", [FROM_ONE, jl.batch([{"y": Y, "g": G}, FROM_ONE])], ids=["one dataset", "a batch"])
def test_a_posterior_for_other_algorithms_is_checked_too(data):
    with pytest.raises(jl.InputError, match="from 1 to 5"):
        jl.condition(PLAIN, data)


def test_inside_a_trace_a_posterior_is_made_of_what_is_known_there():
    density = lambda y: jl.condition(PLAIN, {"y": y, "g": G}).log_density(jnp.zeros(5))
    np.testing.assert_allclose(jax.jit(density)(Y), density(Y), rtol=1e-6)
