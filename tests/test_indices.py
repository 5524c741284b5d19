"""Indices out of range are seen wherever JAX would clip or drop them: in loops, branches, scatters and slices."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax import lax

import jaxlatent as jl
from jaxlatent.data.arrays import as_data
from jaxlatent.model.checks import check_fit, check_use, indices, levels_needed
from jaxlatent.model.checks.indices import indices_in
from jaxlatent.model.checks.terms import reading_of

N, GROUPS = 12, 5
RNG = np.random.default_rng(0)
Y = RNG.normal(size=N)
G = np.arange(N) % GROUPS
ZERO = jnp.zeros(())


def groups(mean):
    """Five groups, and what ``mean`` makes of their effects ``a`` and the data."""
    prior = {"a": dist.Normal(0.0, 1.0).expand([GROUPS]).to_event(1)}
    return jl.Model(prior, lambda p, d: {"y": dist.Normal(mean(p.a, d), 1.0)})


def scanned(read):
    """The effects that ``read`` finds, one row after the other."""
    return lambda a, d: lax.scan(lambda c, g: (c, read(a, g)), 0.0, d.g)[1]


def fori(a, d):
    return lax.fori_loop(0, N, lambda i, out: out.at[i].set(a[d.g[i]]), jnp.zeros(N))


def whiled(a, d):
    def body(state):
        i, out = state
        return i + 1, out.at[i].set(a[d.g[i]])

    return lax.while_loop(lambda state: state[0] < N, body, (0, jnp.zeros(N)))[1]


def ended(a, d):
    """The index is read by the test alone."""
    last = jnp.arange(GROUPS) == GROUPS - 1
    return a.sum() * lax.while_loop(lambda i: ~last[d.g[i]], lambda i: i + 1, 4)


def until_converged(a, d):
    """How often depends on the parameters; what is read does not."""
    body = lambda x: 0.5 * (x + a[d.g])
    return lax.while_loop(lambda x: jnp.abs(x - a[d.g]).max() > 1e-3, body, jnp.zeros(N))


def carried(a, d):
    """The index is the carry of the loop; the number that goes with it depends on parameters."""

    def step(carry, move):
        place, total = carry
        place = place + move
        return (place, total + a[place]), a[place] + 0 * total

    return lax.scan(step, (0, a[0]), jnp.diff(d.g, prepend=0))[1]


def nested(a, d):
    row = lambda c, some: (c, lax.map(lambda g: a[g], some))
    return lax.scan(row, 0.0, d.g.reshape(3, 4))[1].reshape(N)


def branched(a, d):
    return lax.map(lambda g: lax.cond(g > 2, lambda: a[g], lambda: a[0]), d.g)


def where_parameters_tell(a, d):
    return lax.cond(a.sum() > 1e6, lambda: jnp.zeros(N), lambda: a[d.g])


@jax.custom_jvp
def looked_up(a, g):
    return a[g]


looked_up.defjvp(lambda primals, tangents: (looked_up(*primals), tangents[0][primals[1]]))

CLIPPED = {
    "scan": scanned(lambda a, g: a[g]),
    "scan, take": scanned(jnp.take),
    "scan, take_along_axis": scanned(lambda a, g: jnp.take_along_axis(a, g[None], 0)[0]),
    "scan, dynamic_index": scanned(lambda a, g: lax.dynamic_index_in_dim(a, g, keepdims=False)),
    "scan, one axis of two": scanned(lambda a, g: jnp.outer(a, a)[g, 0]),
    "scan, the second axis": scanned(lambda a, g: jnp.outer(a, a)[jnp.arange(2), g].sum()),
    "scan, jit": scanned(jax.jit(lambda a, g: a[g])),
    "scan, custom_jvp": scanned(looked_up),
    "scan, remat": scanned(jax.checkpoint(lambda a, g: a[g])),
    "scan, reversed": lambda a, d: lax.scan(lambda c, g: (c, a[g]), 0.0, d.g, reverse=True)[1],
    "scan, unsigned": scanned(lambda a, g: a[g.astype(jnp.uint8)]),
    "a loop of the carry": carried,
    "map": lambda a, d: lax.map(lambda g: a[g], d.g),
    "map in batches": lambda a, d: lax.map(lambda g: a[g], d.g, batch_size=5),
    "vmap of a scan": lambda a, d: jax.vmap(lambda g: lax.scan(lambda c, _: (c + a[g], None), ZERO, None, 2)[0])(d.g),
    "fori_loop": fori,
    "while_loop": whiled,
    "the test of a while_loop": ended,
    "loops of unequal length": lambda a, d: jax.vmap(lambda g: lax.fori_loop(0, g, lambda i, c: c + a[i], 0.0))(
        d.g + 1
    ),
    "a while_loop that parameters end": until_converged,
    "a loop in a loop": nested,
    "cond": branched,
    "cond that parameters decide": where_parameters_tell,
    "a scatter of rows": lambda a, d: jnp.zeros(GROUPS).at[d.g].add(d.x).sum() * a[0],
    "a scatter that sets": lambda a, d: a.at[d.g].set(d.x).sum(),
    "a scatter in a loop": lambda a, d: (
        lax.scan(lambda sums, row: (sums.at[row[0]].add(row[1]), None), jnp.zeros(GROUPS), (d.g, d.x))[0].sum() * a[0]
    ),
    "segment_sum": lambda a, d: jax.ops.segment_sum(a[0] * d.x, d.g, GROUPS).sum(),
    "segment_max": lambda a, d: jax.ops.segment_max(a[0] + d.x, d.g, GROUPS)[0],
    "dynamic_slice": lambda a, d: lax.dynamic_slice(a, (d.g.max(),), (1,)),
    "dynamic_slice under vmap": lambda a, d: jax.vmap(lambda g: lax.dynamic_slice(a, (g,), (1,))[0])(d.g),
    "dynamic_update_slice": lambda a, d: (lax.dynamic_update_slice(a, jnp.ones(1), (d.g.max(),)) * jnp.arange(5)).sum(),
    "a table of integers": lambda a, d: a.sum() * jnp.take(jnp.arange(GROUPS), d.g),
    "get(mode='fill') of a parameter": lambda a, d: a.at[d.g].get(mode="fill"),
}


@pytest.mark.parametrize("mean", CLIPPED.values(), ids=CLIPPED)
def test_labels_from_one_are_refused(mean):
    data = {"y": Y, "g": G, "x": 1.0 + np.arange(N)}
    check_fit(groups(mean), as_data(data))
    with pytest.raises(jl.InputError, match=r"data 'g'[^$]*from [0-5] to 5 into an axis of length 5"):
        check_fit(groups(mean), as_data({**data, "g": G + 1}))


READS = [name for name in CLIPPED if name.startswith(("scan", "map", "fori", "while_loop", "a loop", "a scatter"))]


@pytest.mark.parametrize("name", [name for name in READS if "unsigned" not in name and "carry" not in name])
def test_the_code_minus_one_is_refused(name):
    data = {"y": Y, "g": np.where(G == 2, -1, G), "x": 1.0 + np.arange(N)}
    with pytest.raises(jl.InputError, match="from -1 to 4"):
        check_fit(groups(CLIPPED[name]), as_data(data))


@pytest.mark.parametrize("seed", range(3))
def test_the_range_is_that_of_all_iterations(seed):
    g = np.random.default_rng(seed).integers(-GROUPS, 2 * GROUPS, (4, 6))
    steps = lambda a, d: lax.map(lambda row: lax.fori_loop(0, 6, lambda i, c: c + a[row[i]], 0.0), d.g)
    with pytest.raises(jl.InputError, match=f"from {g.min()} to {g.max()} into"):
        check_fit(groups(steps), as_data({"y": Y[:4], "g": g}))


SINGLE = {
    "rows": lambda a, d: a[d.g],
    "take": lambda a, d: jnp.take(a, d.g),
    "two axes": lambda a, d: jnp.outer(jnp.arange(3.0), a)[1, d.g],
    "under vmap": lambda a, d: jax.vmap(lambda g: a[g])(d.g),
    "row by row": CLIPPED["scan"],
    "segment_sum": lambda a, d: jax.ops.segment_sum(a[0] * d.y, d.g, 1),
    "the whole axis": lambda a, d: lax.dynamic_slice(a, (d.g.sum(),), (1,)),
}


@pytest.mark.parametrize("mean", SINGLE.values(), ids=SINGLE)
def test_an_axis_of_one_entry_has_one_index(mean):
    model = jl.Model(
        {"a": dist.Normal(0.0, 1.0).expand([1]).to_event(1)}, lambda p, d: {"y": dist.Normal(mean(p.a, d), 1.0)}
    )
    check_fit(model, as_data({"y": Y, "g": 0 * G}))
    for g in (G, 0 * G + 1, -(G == 2).astype(int)):
        with pytest.raises(jl.InputError, match="into an axis of length 1"):
            check_fit(model, as_data({"y": Y, "g": g}))


SLICES = {
    "dynamic_slice": lambda a, start: lax.dynamic_slice(a, (start,), (3,)),
    "dynamic_slice_in_dim": lambda a, start: lax.dynamic_slice_in_dim(a, start, 3),
    "dynamic_update_slice": lambda a, start: (
        lax.dynamic_update_slice(a, jnp.ones(3), (start,))[jnp.array([0, 4, 1])] * jnp.array([1.0, 2.0, 3.0])
    ),
    "under vmap": lambda a, start: jax.vmap(lambda s: lax.dynamic_slice(a, (s,), (3,)))(start[None])[0],
    "update under vmap": lambda a, start: jax.vmap(lambda s: lax.dynamic_update_slice(a, jnp.ones(3), (s,)))(
        start[None]
    )[0][jnp.array([0, 4, 1])],
    "one axis of two": lambda a, start: lax.dynamic_slice(jnp.outer(a, a), (0, start), (1, 3))[0],
}


@pytest.mark.parametrize("cut", SLICES.values(), ids=SLICES)
def test_slices_end_within_the_axis(cut):
    model = groups(lambda a, d: cut(a, d.start))
    for start in range(3):
        check_fit(model, as_data({"y": Y[:3], "start": start}))
    with pytest.raises(jl.InputError, match=r"slices of 3 entries from 3 to 3 [^$]*from 0 to 2"):
        check_fit(model, as_data({"y": Y[:3], "start": 3}))


SWITCHES = {
    "switch": lambda a, d: lax.switch(d.k.max(), [lambda: a[0], lambda: a[1], lambda: a[2]]),
    "in a loop": lambda a, d: lax.map(lambda k: lax.switch(k, [lambda: a[0], lambda: a[1], lambda: a[2]]), d.k),
    "under vmap": lambda a, d: jax.vmap(lambda k: lax.switch(k, [lambda: a[0], lambda: a[1], lambda: a[2]]))(d.k),
}


@pytest.mark.parametrize("mean", SWITCHES.values(), ids=SWITCHES)
def test_a_switch_has_a_branch_for_each_index(mean):
    check_fit(groups(mean), as_data({"y": Y, "k": G % 3}))
    with pytest.raises(jl.InputError, match=r"data 'k'[^$]*to 3 into the 3 branches of a switch") as caught:
        check_fit(groups(mean), as_data({"y": Y, "k": 1 + G % 3}))
    assert "branches from 0" in caught.value.remedy


BAD = np.where(G == 2, 7, G)
ON_PURPOSE = {
    "where nothing looks": scanned(lambda a, g: jnp.where(g > 4, 0.0, a[g])),
    "times zero": scanned(lambda a, g: a[g] * (g < 5)),
    "in the branch that is not taken": lambda a, d: lax.map(lambda g: lax.cond(g > 4, lambda: 0.0, lambda: a[g]), d.g),
    "in the branch that is not selected": lambda a, d: jax.vmap(lambda g: lax.cond(g > 4, lambda: 0.0, lambda: a[g]))(
        d.g
    ),
    "in a loop that never runs": lambda a, d: lax.fori_loop(0, 0 * d.g[0], lambda i, c: c + a[d.g[2]], a[0]),
    "take(mode='clip')": scanned(lambda a, g: jnp.take(a, g, mode="clip")),
    "take_along_axis(mode='clip')": lambda a, d: jnp.take_along_axis(a, d.g, 0, mode="clip"),
    "get(mode='clip')": lambda a, d: a.at[d.g].get(mode="clip"),
    "get(mode='clip') in a loop": lambda a, d: lax.map(lambda g: a.at[g].get(mode="clip"), d.g.reshape(3, 4)).ravel(),
    "take(mode='wrap')": scanned(lambda a, g: jnp.take(a, g, mode="wrap")),
    "take(fill_value=0)": scanned(lambda a, g: jnp.take(a, g, mode="fill", fill_value=0.0)),
    "integers, take(fill_value=0)": lambda a, d: a[0] * jnp.take(jnp.arange(5), d.g, mode="fill", fill_value=0),
    "set(mode='clip')": lambda a, d: a.at[d.g].set(1.0, mode="clip").sum(),
    "an update of zero": lambda a, d: jax.ops.segment_sum((d.g < 5) * d.y, d.g, 5).sum() * a[0],
    "one_hot": scanned(lambda a, g: jax.nn.one_hot(g, 5) @ a),
    "up to the length": lambda a, d: jax.vmap(
        lambda g: lax.fori_loop(0, jnp.minimum(g, 5), lambda i, c: c + a[i], 0.0)
    )(d.g),
    "a counter": lambda a, d: lax.fori_loop(0, 9, lambda i, c: c + a[i], ZERO) + 0.0 * d.g,
    "a window with a start of its own": lambda a, d: lax.map(
        lambda t: jnp.where(t < 3, 0.0, lax.dynamic_slice(d.x, (t - 3,), (3,)).sum()) * a[0], d.t
    ),
}


@pytest.mark.parametrize("mean", ON_PURPOSE.values(), ids=ON_PURPOSE)
def test_what_is_out_of_range_on_purpose_is_not_refused(mean):
    check_fit(groups(mean), as_data({"y": Y, "g": BAD, "x": Y, "t": np.arange(N)}))


def test_rows_that_are_masked_may_hold_anything():
    one = jl.Model({"a": dist.Normal(0.0, 1.0).expand([1]).to_event(1)}, groups(SINGLE["rows"]).likelihood)
    check_fit(one, as_data({"y": jl.Masked(Y, G == 0), "g": G}))
    check_fit(groups(CLIPPED["map"]), as_data({"y": jl.Masked(Y, G != 2), "g": BAD}))
    with pytest.raises(jl.InputError, match="from 0 to 7"):
        check_fit(groups(CLIPPED["map"]), as_data({"y": jl.Masked(Y, G != 3), "g": BAD}))


def test_padding_of_sequences_is_not_refused():
    ragged = lambda a, d: jax.vmap(lambda row: lax.map(lambda g: a[g - 1], row))(d.g)
    check_fit(groups(ragged), as_data({"y": [Y[:3], Y[3:8]], "g": [G[:3] + 1, G[3:8] + 1]}))


def test_parameters_that_index_are_not_looked_at():
    chosen = lambda a, d: lax.map(lambda g: a[(100 * a[0]).astype(int) + g], d.g)
    check_fit(groups(chosen), as_data({"y": Y, "g": G}))


@pytest.mark.parametrize("name", ["scan", "map", "fori_loop", "while_loop", "a loop in a loop", "cond"])
def test_groups_read_one_by_one_count_as_new_levels(name):
    prior = {"mu": dist.Normal(0.0, 1.0), "a": lambda p: dist.Normal(p.mu, 1.0).expand([GROUPS]).to_event(1)}
    model = jl.Model(prior, lambda p, d: {"y": dist.Normal(CLIPPED[name](p.a, d), 1.0)})
    params = {"mu": jnp.zeros(()), "a": jnp.arange(5.0)}
    new = as_data({"g": np.where(G == 2, 8, G)})
    assert levels_needed(model, params, as_data({"g": G, "y": Y}), new) == {"a": 9}
    with pytest.raises(jl.InputError, match="new_levels=True"):
        check_use(model, params, new, "predict")


#: What a model may make of indices before it reads with them, and what NumPy makes of them.
COMPUTED = {
    "as they are": (lambda g: g, lambda g: g),
    "in another shape": (lambda g: g.T[..., None], lambda g: g),
    "as small integers": (lambda g: g.astype(jnp.int8), lambda g: g.astype(np.int8)),
    "a part": (lambda g: g[1:], lambda g: g[1:]),
    "less one": (lambda g: g - 1, lambda g: g - 1),
    "summed up": (lambda g: jnp.cumsum(g, 0), lambda g: np.cumsum(g, 0)),
}
LOOPS = {
    "no loop": lambda a, rows: a[rows],
    "a loop": lambda a, rows: lax.map(lambda row: a[row], rows),
    "a loop in a loop": lambda a, rows: lax.map(lambda row: lax.map(lambda g: a[g], row), rows),
    "constants of a loop": lambda a, rows: lax.fori_loop(0, 2, lambda i, c: c + a[rows].sum(), jnp.zeros(())),
    "a loop of no known length": lambda a, rows: lax.while_loop(
        lambda state: state[0] < rows.shape[0],
        lambda state: (state[0] + 1, state[1] + a[rows[state[0]]].sum()),
        (0, jnp.zeros(())),
    )[1],
}


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize("compute, expected", COMPUTED.values(), ids=COMPUTED)
def test_ranges_are_those_of_numpy(compute, expected, loop):
    g = np.random.default_rng(0).integers(-300, 300, (4, 6))
    read = lambda a, d: loop(jnp.broadcast_to(a[0], ()) * jnp.ones(GROUPS), compute(d.g)).sum()
    data, wanted = as_data({"y": Y, "g": g}), expected(g)
    reading = reading_of(groups(read), {"a": jnp.zeros(GROUPS)}, data, "fit")
    found = [(low, high) for place, low, high in indices_in(data, reading) if place.operand == ("param a",)]
    assert found == [(wanted.min(), wanted.max())]


def test_nothing_is_compiled_for_data_that_index_as_they_are(monkeypatch):
    monkeypatch.setattr(indices.Interpreter, "run", lambda *_: pytest.fail("a program was run"))
    for read in (lambda a, d: a[d.g], CLIPPED["scan"], CLIPPED["map"], CLIPPED["a loop in a loop"]):
        check_fit(groups(read), as_data({"y": Y, "g": G}))


def test_a_fit_is_refused():
    with pytest.raises(jl.InputError, match="from 1 to 5 into an axis of length 5 of parameter 'a'"):
        jl.fit(groups(CLIPPED["scan"]), {"y": Y, "g": G + 1}, jl.Optimize(), 0)
