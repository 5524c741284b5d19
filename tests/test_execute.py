"""What the executor promises: lanes, segments, devices and neighbours change no draws, and nothing compiles twice."""

import signal
import warnings
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from engine_grid import ENGINES
from monte_carlo import check_moments

import jaxlatent as jl
from jaxlatent._compat.fusion_emitters import QUICK
from jaxlatent.engines.chains import mark_unmixed
from jaxlatent.execute import chunks, devices, programs, progress


def make(key=None):
    return jl.Model(
        {"mu": dist.Normal(0.0, 2.0), "tau": dist.HalfNormal(2.0)},
        lambda p, d: {"y": dist.Normal(p.mu, p.tau + 1.0).expand([3])},
        derived=lambda p, d: {"effect": p.mu / (p.tau + 1.0)},
        key=key,
    )


MODEL = make("tiny")
D0, D1, D2 = ({"y": np.array(y, np.float32)} for y in ([0.1, -0.5, 1.0], [3.0, 2.0, 4.0], [-1.0, 0.0, -3.0]))
SHORT = jl.NUTS(chains=4, warmup=0, draws=10)
FULL = jl.NUTS(chains=4, warmup=60, draws=50)


def short(data=D0, chains=4, **options):
    return jl.fit(MODEL, data, jl.NUTS(chains=chains, warmup=0, draws=10), 3, **options)


@pytest.fixture(scope="module")
def base():
    return short()


@pytest.fixture(scope="module")
def full():
    return jl.fit(MODEL, D0, FULL, 3)


@pytest.fixture(scope="module")
def many():
    return jl.fit(MODEL, jl.batch({"a": D0, "b": D1, "c": D2}), FULL, 3)


@contextmanager
def compilations():
    """The names of compilation stages inside the block; a program from the cache on disk counts too."""
    seen = []
    listen = lambda event, duration, **_: seen.append(event) if event.endswith("backend_compile_duration") else None
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield seen
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def assert_same(one, other, **options):
    """Bitwise, or to a tolerance."""
    check = np.testing.assert_allclose if options else np.testing.assert_array_equal
    jax.tree.map(lambda a, b: check(a, b, **options), (one.params, one.statistics), (other.params, other.statistics))


# --- layout -----------------------------------------------------------------------------------------------------------


def test_equal_seeds_give_equal_draws_and_others_do_not(full):
    assert_same(full, jl.fit(MODEL, D0, FULL, jax.random.key(3)))
    assert (full.params["mu"] != jl.fit(MODEL, D0, FULL, 4).params["mu"]).mean() > 0.9


@pytest.mark.devices
def test_lanes_have_streams_of_their_own(full, many):
    chains = np.concatenate([full.positions.reshape(4, -1), many.positions.reshape(12, -1)[4:]])
    assert len(np.unique(chains, axis=0)) == 12


@pytest.mark.devices
def test_draws_are_bitwise_the_same_for_any_segment(full):
    assert_same(full, jl.fit(MODEL, D0, FULL, 3, segment=7))


@pytest.mark.devices(least=2)
def test_one_device_and_several_give_the_same_draws(base):
    assert len(jax.devices()) > 1
    assert_same(base, short(devices=jax.devices()[:1]), rtol=1e-3, atol=1e-4)


@pytest.mark.devices(least=2)
def test_lanes_do_not_depend_on_their_number(base):
    """Without adaptation. Three lanes do not fill two devices: the filler leaves no trace."""
    three = short(chains=3)
    assert three.params["mu"].shape == (3, 10)
    cut = jax.tree.map(lambda x: x[:3], (base.params, base.statistics))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), cut, (three.params, three.statistics)
    )


@pytest.mark.devices
def test_a_dataset_does_not_see_its_neighbours(many):
    """Same place in the batch, other neighbours in other order: bitwise the same, adaptation included."""
    other = jl.fit(MODEL, jl.batch([D2, D1, D0]), FULL, 3)
    assert_same(many["b"], other[1])
    assert (many["a"].params["mu"] != other[0].params["mu"]).mean() > 0.9


@pytest.mark.devices
def test_a_batch_is_a_loop_over_its_datasets(base):
    """The first dataset of a batch has the streams of a fit of its own; the others follow from the test above."""
    for data in (D1, D2):
        batched = short(jl.batch([data, D0, D1]))
        assert_same(short(data), batched[0], rtol=1e-3, atol=1e-4)


@pytest.mark.devices
def test_every_dataset_gets_its_own_posterior(many):
    assert many.names == ("a", "b", "c") and many.params["mu"].shape == (3, 4, 50)
    assert many["b"].params["mu"].mean() > many["a"].params["mu"].mean() > many["c"].params["mu"].mean()


@pytest.mark.devices
def test_the_precision_follows_jax():
    with jax.enable_x64(False):
        assert short().positions.dtype == np.float32
    with jax.enable_x64(True):
        result = jl.fit(MODEL, {"y": D0["y"].astype(float)}, SHORT, 3)
        assert result.provenance.x64
    floats = [x for x in jax.tree.leaves((result.params, result.derived, result.statistics)) if x.dtype.kind == "f"]
    assert result.positions.dtype == np.float64 and all(x.dtype == np.float64 for x in floats)


def test_nothing_is_tuned_while_draws_are_kept(many):
    """One step size, that of all chains of a dataset; draws whose step size follows them are not of the posterior."""
    sizes = many.statistics["step_size"]
    assert [len(np.unique(one)) for one in sizes] == [1, 1, 1] and len(np.unique(sizes)) == 3


# --- compilation ------------------------------------------------------------------------------------------------------


def test_a_second_fit_of_equal_shapes_compiles_nothing(full):
    """Other data, another seed, and a model made anew by the same family."""
    with compilations() as seen:
        other = jl.fit(make("tiny"), D2, FULL, 8)
    assert not seen
    assert (other.params["mu"] != full.params["mu"]).any()
    with compilations() as seen:
        longer = jl.fit(MODEL, D0, replace(FULL, draws=3 * FULL.draws), 3, segment=FULL.draws)
    assert not seen, "the number of draws is no part of the program"
    np.testing.assert_array_equal(longer.params["mu"][:, : FULL.draws], full.params["mu"])
    with compilations() as seen:
        jax.jit(lambda x: x * 1.23)(2.0)
    assert seen, "the counter sees nothing at all"


@pytest.mark.parametrize(
    ("cores", "chains", "seconds", "told"),
    [(8, 2, 0.0, True), (1, 2, 0.0, False), (8, 1, 0.0, False), (8, 2, 1e6, False)],
)
def test_a_long_fit_says_that_cores_are_idle(monkeypatch, recwarn, cores, chains, seconds, told):
    monkeypatch.setattr(devices, "cpu_cores", lambda: cores)
    monkeypatch.setattr(devices, "_LONG", seconds)
    warnings.simplefilter("always")
    jl.fit(MODEL, D0, replace(FULL, chains=chains), 3)
    said = [one for one in recwarn if "on one of the 8 cores" in str(one.message)]
    assert len(said) == told


def loops():
    """How many programs of the loop have a kernel of each operation, as XLA's slower code generator makes, and how many have not."""
    programs = [x.hlo_modules()[0] for x in jax.local_devices()[0].client.live_executables()]
    return Counter("%wrapped_" in x.to_string() for x in programs if x.name == "jit__advance")


@pytest.mark.parametrize(("rows", "datasets", "few"), [(1000, 1, True), (1000, 3, True), (1100, 1, False)])
def test_the_loop_is_compiled_for_run_time_unless_a_dataset_is_small(monkeypatch, rows, datasets, few):
    """Of 4096 bytes; how many datasets there are does not matter, and which program it is changes no result."""
    model = jl.Model(
        {"mu": dist.Normal()}, lambda p, d: {"y": dist.Normal(p.mu, 1.0).expand([rows])}, key=f"{rows} rows"
    )
    one = {"y": np.linspace(-1.0, 2.0, rows, dtype=np.float32)}
    fit = lambda: jl.fit(model, one if datasets == 1 else jl.batch([one] * datasets), jl.Optimize(restarts=1), 0)
    before = loops()
    usual = fit()
    assert loops() - before == Counter([not few or not QUICK])
    always, never = 2**40, -1
    monkeypatch.setattr(programs, "_FEW", always if few else never)
    with compilations() as seen:
        same = fit()
    assert not seen, "it was the other program"
    assert_same(usual, same)
    monkeypatch.setattr(programs, "_FEW", never if few else always)
    before = loops()
    with compilations() as seen:
        other = fit()
    assert len(seen) == 1, "the loop alone is compiled anew"
    assert loops() - before == Counter([few or not QUICK])
    np.testing.assert_allclose(usual.params["mu"], other.params["mu"], rtol=1e-5)


@pytest.mark.parametrize(
    ("size", "expected"), [(2**10, (4, 6)), (2**14, (2, 6)), (2**16, (1, 3)), (2**20, (1, 1))], ids=str
)
def test_as_many_lanes_share_a_turn_as_fit_in_the_cache(monkeypatch, size, expected):
    """Of arrays of ``size`` numbers in each of four times six lanes: sixteen, four or less than one of them fit."""
    monkeypatch.setattr(chunks, "cpu_cores", jax.local_device_count)

    def step(x):
        return jax.lax.fori_loop(0, 3, lambda _, x: x + jnp.sum(jnp.exp(x[..., None] * jnp.arange(size)), -1), x)

    assert chunks.chunk_size(step, (4, 6), jnp.zeros((4, 6), jnp.float32)) == expected


# --- run --------------------------------------------------------------------------------------------------------------

RUN = jl.NUTS(chains=4, warmup=100, draws=300)


def normal_mean(y):
    model = jl.Model(
        {"mu": dist.Normal(0.0, 2.0)}, lambda p, d: {"y": dist.Normal(p.mu, 1.5).expand([3])}, key="normal mean"
    )
    return jl.condition(model, {"y": y})


def exact(y):
    precision = 1 / 4 + 3 / 2.25
    return y.sum(-1) / 2.25 / precision, precision**-0.5


def test_run_is_traceable_and_the_same_under_jit():
    """To rounding, and so without adaptation and for a few draws: long chains drift apart."""
    posterior, engine, key = normal_mean(D0["y"]), jl.NUTS(chains=4, warmup=0, draws=5), jax.random.key(2)
    eager, jitted = jl.run(posterior, engine, key), jax.jit(jl.run, static_argnums=1)(posterior, engine, key)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), eager, jitted)
    assert eager.params["mu"].shape == (4, 5) and (eager.status == jl.Status.OK).all()


def test_run_inside_vmap_over_data_and_keys():
    ys = np.stack([D0["y"], D1["y"], D2["y"]])
    fit = jax.jit(jax.vmap(lambda y, key: jl.run(normal_mean(y), RUN, key)))
    out = fit(ys, jax.random.split(jax.random.key(5), 3))
    assert out.params["mu"].shape == (3, 4, 300) and out.statistics["n_steps"].shape == (3, 4, 300)
    for draws, mean in zip(out.params["mu"], exact(ys)[0], strict=True):
        check_moments(draws, mean, exact(ys)[1])
    assert [len(np.unique(one)) for one in out.statistics["step_size"]] == [1, 1, 1], "a leg is 250 draws"


def normal(p):
    return -0.5 * jnp.sum((p["x"] - 1.0) ** 2)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("name", [name for name in ENGINES if name != "EM"])
def test_engines_are_traced_in_both_precisions_and_promote_no_types(name, wide, strict):
    with jax.enable_x64(wide):
        posterior, engine = jl.from_log_density(normal, {"x": jnp.zeros(3)}), ENGINES[name](2)
        out = jax.eval_shape(lambda key: jl.run(posterior, engine, key), jax.random.key(0))
        assert out.params["x"].dtype == jnp.result_type(float)


# --- trouble ----------------------------------------------------------------------------------------------------------


def cliff(x):
    """Standard normal, and no number at all beyond 50."""
    return jnp.where(x > 50.0, jnp.nan, -0.5 * x**2)


@pytest.mark.devices
def test_a_broken_lane_ends_by_itself():
    posterior = jl.from_log_density(cliff, jnp.zeros(()))
    whole, broken = (
        jl.fit(posterior, None, SHORT, 0, init={"position": np.array([0.0, 0.0, last, 0.0])}) for last in (0.5, 99.0)
    )
    assert broken.status.tolist() == [0, 0, jl.Status.NON_FINITE, 0]
    assert np.isnan(broken.params["position"][2]).all()
    lanes = [0, 1, 3]
    np.testing.assert_array_equal(broken.params["position"][lanes], whole.params["position"][lanes])
    assert "1 NON_FINITE" in repr(broken) and broken.best().params["position"].shape == (1, 10)


def test_a_broken_lane_does_not_poison_the_adaptation():
    posterior = jl.from_log_density(cliff, jnp.zeros(()))
    result = jl.fit(
        posterior, None, jl.NUTS(chains=4, warmup=100, draws=500), 0, init={"position": np.array([99.0, 0.0, 1.0, 0.0])}
    )
    assert result.status.tolist() == [jl.Status.NON_FINITE, 0, 0, 0]
    check_moments(result.params["position"][1:], 0.0, 1.0)


def test_a_dataset_that_cannot_move_costs_its_neighbours_nothing():
    """The log density is finite where its lanes start, and its gradient is not."""
    model = jl.Model(
        {"x": dist.Normal(0.0, 1.0)}, lambda p, d: {"y": dist.Normal(p.x + jnp.sqrt(d.k * p.x + d.c), 1.0)}, key="edge"
    )
    good, bad = ({"y": np.float32(0.5), "k": np.float32(0.0), "c": np.float32(c)} for c in (1.0, 0.0))
    engine = jl.NUTS(chains=2, warmup=40, draws=100)
    both = jl.fit(model, jl.batch({"good": good, "bad": bad}), engine, 0)
    assert both.status.tolist() == [[jl.Status.OK] * 2, [jl.Status.STUCK] * 2]
    assert_same(both["good"], jl.fit(model, jl.batch({"good": good, "other": good}), engine, 0)["good"])


@pytest.mark.parametrize(("distance", "draws", "unmixed"), [(0.0, 200, False), (20.0, 200, True), (20.0, 99, False)])
def test_chains_with_nothing_in_common_say_so(distance, draws, unmixed):
    """One that failed has no say, nor have draws that a dataset did not make."""
    positions = np.random.default_rng(0).normal(size=(2, 4, 300, 2))
    positions[1, 1, :, 1] += distance
    positions[1, 3] = np.nan
    positions[1, :, draws:] = np.nan
    status = np.array([[0, 0, 0, 8], [0, 0, 8, 3]])
    expected = [[0, 0, 0, 8], [9, 9, 9, 3] if unmixed else [0, 0, 8, 3]]
    assert mark_unmixed(status, positions).tolist() == expected


class Interrupting(jl.until):
    """A stopping rule that is Ctrl-C at its second look."""

    looks: ClassVar[list[int]] = []

    def progress(self, draws, capacity):
        self.looks.append(capacity)
        if len(self.looks) == 2:
            raise KeyboardInterrupt
        return np.full(draws.shape[2], 0.9)


def test_an_interrupt_keeps_the_draws_made_so_far(full):
    with pytest.warns(UserWarning, match="interrupted: the result holds the 14 draws"):
        result = jl.fit(MODEL, D0, FULL, 3, segment=7, until=Interrupting())
    assert result.params["mu"].shape == (4, 14) and result.statistics["n_steps"].shape == (4, 14)
    np.testing.assert_array_equal(result.params["mu"], full.params["mu"][:, :14])


def test_ctrl_c_while_the_devices_work_loses_no_draw(full, monkeypatch):
    """The buffers of the session are given away then, and the new ones not yet named."""
    # Tests that run in the background of a shell inherit that Ctrl-C is ignored.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    calls = []
    advance = programs.advance

    def interrupted(*arguments):
        out = advance(*arguments)
        calls.append(out)
        if len(calls) == len(FULL.schedule(7)) - 1:
            signal.raise_signal(signal.SIGINT)
        return out

    monkeypatch.setattr(programs, "advance", interrupted)
    try:
        with pytest.warns(UserWarning, match="interrupted: the result holds the"):
            result = jl.fit(MODEL, D0, FULL, 3, segment=7)
    finally:
        signal.signal(signal.SIGINT, handler)
    made = result.params["mu"].shape[1]
    assert 7 <= made < FULL.draws and (result.status == jl.Status.OK).all()
    np.testing.assert_array_equal(result.params["mu"], full.params["mu"][:, :made])


def test_run_tells_nothing_of_records_that_were_not_made():
    """A search that ends early, and a chain that cannot start."""
    run = jax.jit(jl.run, static_argnums=1)
    rows = {"y": np.random.default_rng(0).normal(size=40).astype(np.float32)}
    model = jl.Model({"mu": dist.Normal()}, lambda p, d: {"y": dist.Normal(p.mu, 1.0)}, key="held rows")
    search = jl.Optimize(optimizer=optax.adam(0.1), validation=0.25, patience=5, max_iter=400)
    out = run(jl.condition(model, rows), search, jax.random.key(0))
    made = int(out.statistics["n_steps"][0])
    scores = np.asarray(out.statistics["validation"][0])
    assert made < 400 and np.isnan(scores[-1]) and np.isfinite(scores[: made // 2]).any()
    posterior = jl.from_log_density(cliff, jnp.zeros(()))
    out = run(posterior, SHORT, jax.random.key(0), init=jnp.array([[0.0], [99.0], [0.0], [1.0]]))
    assert np.isnan(out.statistics["lp"][1]).all() and np.isfinite(out.statistics["lp"][0]).all()


@pytest.mark.devices
def test_a_stopping_rule_stops_early_and_only_when_met(full):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        early = jl.fit(MODEL, D0, FULL, 3, segment=7, until=jl.until(ess=5.0, rhat=10.0))
        late = jl.fit(MODEL, D0, FULL, 3, segment=7, until=jl.until(ess=1e6, rhat=1.01))
    assert early.params["mu"].shape[1] in (7, 14, 21)
    np.testing.assert_array_equal(early.params["mu"], full.params["mu"][:, : early.params["mu"].shape[1]])
    assert_same(late, full)


# --- start and progress -----------------------------------------------------------------------------------------------

#: So wide that one leapfrog step hardly moves: the first draw shows where a lane started.
WIDE = jl.Model(
    {"x": dist.Normal(0.0, 1e6), "w": dist.Normal(0.0, 1e6).expand([2])}, lambda p, d: {"y": dist.Normal(p.x, 1e6)}
)
ONE_STEP = jl.NUTS(chains=3, warmup=0, draws=1, max_depth=1)
Y = {"y": np.float32(0.0)}


@pytest.mark.devices
@pytest.mark.parametrize(
    "x, expected",
    [
        (100.0, [[100, 100, 100], [100, 100, 100]]),
        ([100.0, 300.0, 500.0], [[100, 300, 500], [100, 300, 500]]),
        ([[100.0], [300.0]], [[100, 100, 100], [300, 300, 300]]),
        ([[100.0, 200.0, 300.0], [400.0, 500.0, 600.0]], [[100, 200, 300], [400, 500, 600]]),
    ],
    ids=["for all", "by lane", "by dataset", "by dataset and lane"],
)
def test_lanes_start_where_they_are_told(x, expected):
    init = {"x": x, "w": [500.0, -500.0]}
    result = jl.fit(WIDE, jl.batch([Y, Y]), ONE_STEP, 0, init=init)
    assert np.abs(result.params["x"][..., 0] - expected).max() < 20
    assert np.abs(result.params["w"][..., 0, :] - [500, -500]).max() < 20


def test_lanes_start_where_another_fit_ended():
    """Each at the last draw of its own chain."""
    first = jl.fit(WIDE, Y, replace(ONE_STEP, draws=2), 0)
    last = 1000.0 * np.arange(1, 4)
    path = {"x": np.stack([0 * last, last], 1), "w": np.stack([0 * last, -last], 1)[..., None] * np.ones(2)}
    again = jl.fit(WIDE, Y, ONE_STEP, 1, init=replace(first, params=path))
    assert np.abs(again.params["x"][:, 0] - last).max() < 40
    assert np.abs(again.params["w"][:, 0] + last[:, None]).max() < 40


@pytest.mark.slow
def test_lanes_of_a_batch_start_at_the_best_points_of_another_fit():
    data = jl.batch([{"y": np.float32(y)} for y in (-3e6, 0.0, 3e6)])
    points = jl.fit(WIDE, data, jl.Optimize(), 0)
    draws = jl.fit(WIDE, data, ONE_STEP, 1, init=points)  # as many lanes as datasets
    np.testing.assert_allclose(draws.params["x"][..., 0], np.repeat(points.params["x"], 3, axis=1), atol=40)


def test_lanes_start_around_the_origin_by_default():
    assert np.abs(jl.fit(WIDE, Y, ONE_STEP, 0).params["x"]).max() < 20


def test_progress_is_plain_lines_off_a_terminal(capsys, full):
    jl.fit(MODEL, D0, FULL, 3, progress=True)
    written = capsys.readouterr()
    first, *_, last = written.err.splitlines()
    assert first.endswith("NUTS: compiling") and "110/110" in last and "it/s" in last and " divergences" in last
    assert "\x1b" not in written.err and written.out == ""
    for quiet in (None, False):
        jl.fit(MODEL, D0, FULL, 3, progress=quiet)
        assert capsys.readouterr() == ("", "")


def test_progress_is_one_live_line_on_a_terminal(capsys, full, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    jl.fit(MODEL, D0, FULL, 3)
    written = capsys.readouterr()
    assert "110/110" in written.err and "\x1b" in written.err and "NUTS" in written.err and written.out == ""
    assert all(word in written.err for word in ("compiling", "it/s", "divergences"))
    jl.fit(MODEL, D0, FULL, 3, progress=False)
    assert capsys.readouterr() == ("", "")


def test_a_log_has_a_line_at_once_one_after_seconds_one_a_minute_and_the_last(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with progress.progress_line("fit", 50, True) as report:
        for done in range(1, 50):
            now[0] += 4.0
            report(done, "")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "fit: compiling"
    assert [int(line.split()[1].partition("/")[0]) for line in lines[1:]] == [2, 17, 32, 47, 49]
