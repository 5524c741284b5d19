"""Data from tables are those made by hand with pandas, whatever the order of the rows; labels reach results; what is unclear is refused."""

import pickle
import sys
import warnings
from datetime import datetime, timedelta

import jax
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import polars as pl
import pytest

import jaxlatent as jl
from jaxlatent.data.arrays import as_data

EMISSION = jl.models.emissions.BernoulliRegression
SIGN = {"left": -1.0, "right": 1.0}


def tidy(animals=("Ada", "Bo"), seed=0):
    """Two animals with three sessions each, of unequal lengths, labelled alike; some choices missing; no row out of place."""
    rng = np.random.default_rng(seed)
    rows = []
    for a, animal in enumerate(animals):
        for session in ("s2", "s1", "s3"):
            for trial in range(int(rng.integers(20, 30)) + 5 * a):
                x = rng.normal(size=2)
                choice = (
                    None if rng.random() < 0.1 else ("right" if rng.random() < 1 / (1 + np.exp(-2 * x[0])) else "left")
                )
                block = "ABC"[trial // 10 % 3]
                rows.append((animal, session, trial + 1, *x, choice, int(rng.random() < 0.6), block, rng.normal()))
    columns = ["animal", "session", "trial", "stimulus", "bias", "choice", "reward", "block", "speed"]
    return pd.DataFrame(rows, columns=columns)


def messy(seed=0, **of):
    """The same with shuffled rows, and an index that is no row number."""
    frame = tidy(seed=seed, **of).sample(frac=1, random_state=seed)
    return frame.set_index(pd.Index([f"row {i}" for i in range(len(frame))]))


FRAME = messy()
ONE = FRAME[FRAME["animal"] == "Ada"]
CALL = {"sequence": "session", "y": "choice", "x": ["stimulus", "bias"], "order": "trial"}


def groups(frame):
    """By hand: the sequences in order of appearance, sorted."""
    return [group.sort_values("trial") for _, group in frame.groupby("session", sort=False)]


def by_hand(frame, x=lambda g: g[["stimulus", "bias"]].to_numpy()):
    own = groups(frame)
    code = lambda g: g["choice"].map({"left": 0, "right": 1})
    y = [jl.Masked(code(g).fillna(0).to_numpy(int), code(g).notna().to_numpy()) for g in own]
    return {"y": y, "x": [x(g) for g in own]}


def assert_same(one, other):
    """Bitwise, names and masks included."""
    one, other = (value.data if isinstance(value, jl.Batch) else as_data(value) for value in (one, other))
    assert one.keys() == other.keys()
    for name in one:
        assert isinstance(one[name], jl.Masked) == isinstance(other[name], jl.Masked)
        for a, b in zip(jax.tree.leaves(one[name]), jax.tree.leaves(other[name]), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def error_of(call):
    with pytest.raises(jl.InputError) as caught:
        call()
    return str(caught.value)


def refused(frame=FRAME, **changes):
    return error_of(lambda: jl.sequences(frame, **{**CALL, "dataset": "animal", **changes}))


# --- the same as by hand ----------------------------------------------------------------------------------------------


def test_sequences_are_those_made_by_hand_and_so_is_the_fit():
    data = jl.sequences(ONE, **CALL)
    hand = by_hand(ONE)
    assert data.coords["sequence"] == list(dict.fromkeys(ONE["session"])) and isinstance(data, dict)
    assert [len(x) for x in data["x"]] == [len(g) for g in groups(ONE)]
    assert_same(data, hand)
    fits = [jl.fit(jl.models.hmm(2, EMISSION(2)), one, jl.EM(restarts=2, max_iter=20), 0) for one in (data, hand)]
    for name in fits[0].params:
        np.testing.assert_array_equal(fits[0].params[name], fits[1].params[name])


def test_datasets_are_a_batch_made_by_hand_and_so_is_the_fit():
    data = jl.sequences(FRAME, dataset="animal", **CALL)
    names = list(dict.fromkeys(FRAME["animal"]))
    hand = jl.batch({name: by_hand(FRAME[FRAME["animal"] == name]) for name in names})
    assert isinstance(data, jl.Batch) and data.names == hand.names == tuple(names)
    assert data.sequences == {name: tuple(dict.fromkeys(FRAME["session"][FRAME["animal"] == name])) for name in names}
    assert_same(data, hand)
    fits = [jl.fit(jl.models.hmm(2, EMISSION(2)), one, jl.EM(restarts=2, max_iter=20), 0) for one in (data, hand)]
    for name in fits[0].params:
        np.testing.assert_array_equal(fits[0].params[name], fits[1].params[name])
    chosen = data.select(["Bo"])
    assert_same(chosen, hand.select(["Bo"]))
    assert chosen.coords == data.coords and chosen.sequences == {"Bo": data.sequences["Bo"]}


def test_the_order_of_rows_changes_nothing_but_the_order_of_sequences():
    frame = tidy(animals=("Ada",))
    shuffled = frame.sample(frac=1, random_state=3)
    shuffled = pd.concat([frame[frame["trial"] == 1], shuffled[shuffled["trial"] > 1]])
    assert_same(jl.sequences(frame, **CALL), jl.sequences(shuffled, **CALL))
    # Without a column to sort by, rows stay as they stand.
    unsorted = jl.sequences(shuffled, **{**CALL, "order": None})
    for x, (_, own) in zip(unsorted["x"], shuffled.groupby("session", sort=False), strict=True):
        np.testing.assert_array_equal(x, own[["stimulus", "bias"]])


def test_sequences_come_as_they_occur_in_their_own_dataset():
    frame = {"animal": list("aabbba"), "session": [2, 1, 1, 2, 1, 3], "y": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]}
    data = jl.sequences(frame, dataset="animal", sequence="session", y="y")
    assert data.sequences == {"a": (2, 1, 3), "b": (1, 2)}
    y = data.data["y"]
    np.testing.assert_array_equal(y.values * y.mask, [[[0, 0], [1, 0], [5, 0]], [[2, 4], [3, 0], [0, 0]]])
    np.testing.assert_array_equal(data.in_rows(y.values), frame["y"])


def test_dates_sort_and_one_sequence_needs_no_label():
    frame = ONE[ONE["session"] == "s1"]
    frame = frame.assign(when=[datetime(2026, 1, 1) + timedelta(seconds=int(n)) for n in frame["trial"]])
    data = jl.sequences(frame, **{**CALL, "sequence": None, "order": "when"})
    np.testing.assert_array_equal(data["x"][0], frame.sort_values("trial")[["stimulus", "bias"]])
    zoned = frame.assign(when=frame["when"].dt.tz_localize("Europe/Berlin"), day=frame["when"].dt.date)
    assert_same(data, jl.sequences(zoned, **{**CALL, "sequence": None, "order": "when"}))
    assert jl.sequences(zoned, **{**CALL, "sequence": "day"}).coords["sequence"] == ["2026-01-01"]


def test_rows_are_found_again():
    data = jl.sequences(FRAME, dataset="animal", **CALL, trial="trial")
    np.testing.assert_array_equal(data.in_rows(data.data["trial"].values), FRAME["trial"])
    x = data.data["x"].values
    np.testing.assert_array_equal(data.in_rows(x), FRAME[["stimulus", "bias"]].astype(x.dtype))
    chosen = data.select(["Bo"])
    bo = (FRAME["animal"] == "Bo").to_numpy()
    np.testing.assert_array_equal(chosen.in_rows(chosen.data["trial"].values), np.where(bo, FRAME["trial"], -1))
    np.testing.assert_array_equal(np.isnan(chosen.in_rows(chosen.data["x"].values)).all(1), ~bo)
    one = jl.sequences(ONE, **CALL, trial="trial")
    np.testing.assert_array_equal(one.in_rows(as_data(one)["trial"].values), ONE["trial"])
    rows = jl.table(FRAME, dataset="animal", trial="trial")
    np.testing.assert_array_equal(rows.in_rows(rows.data["trial"].values), FRAME["trial"])
    assert "without those of draws" in error_of(lambda: one.in_rows(np.zeros(3)))
    assert "got:      shape (3, 2)" in error_of(lambda: one.in_rows(np.zeros((3, 2))))


def test_a_table_is_its_columns():
    data = jl.table(FRAME, y="speed", x=["stimulus", "bias"], block="block", pair=["reward", "trial"])
    assert type(data["y"]) is np.ndarray and data["x"].shape == (len(FRAME), 2)
    np.testing.assert_array_equal(data["y"], FRAME["speed"])
    np.testing.assert_array_equal(data["pair"], FRAME[["reward", "trial"]])
    np.testing.assert_array_equal(data["block"], FRAME["block"].map({"A": 0, "B": 1, "C": 2}))
    assert data.coords == {"input": ["stimulus", "bias"], "block": ["A", "B", "C"], "pair": ["reward", "trial"]}
    parts = {name: FRAME[FRAME["animal"] == name] for name in dict.fromkeys(FRAME["animal"])}
    hand = jl.batch({name: {"y": g["speed"].to_numpy(), "x": g[["bias"]].to_numpy()} for name, g in parts.items()})
    assert_same(jl.table(FRAME, dataset="animal", y="speed", x="bias"), hand)


def test_inputs_of_transitions_and_vectors():
    frame = ONE.assign(a=ONE["speed"].where(ONE["trial"] != 4), b=(ONE["speed"] * 2).where(ONE["trial"] != 4))
    data = jl.sequences(frame, **{**CALL, "y": ["a", "b"], "u": "stimulus"})
    for y, u, own in zip(data["y"], data["u"], groups(frame), strict=True):
        np.testing.assert_array_equal(y.mask, own["trial"] != 4)
        np.testing.assert_array_equal(y.values[y.mask], own[["a", "b"]].dropna())
        np.testing.assert_array_equal(u, own[["stimulus"]])
    assert data.coords["feature"] == ["a", "b"] and data.coords["transition_input"] == ["stimulus"]
    jl.fit(jl.models.hmm(2, jl.models.emissions.Gaussian(2)), data, jl.EM(restarts=1, max_iter=2), 0)
    partly = frame.assign(b=frame["b"].where(frame["trial"] != 7))
    message = refused(partly, dataset=None, y=["a", "b"])
    row = int(np.flatnonzero(partly["b"].isna() & partly["a"].notna())[0])
    assert f"3 rows where some of the columns are missing, the first row {row} " in message and "without b" in message


# --- kinds of columns -------------------------------------------------------------------------------------------------

LEFT = np.array([0, 1, 1, 0])
GAP = np.array([True, True, False, True])


@pytest.mark.parametrize(
    ("column", "labels", "seen"),
    [
        (["left", "right", "right", "left"], ["left", "right"], None),
        (["left", "right", None, "left"], ["left", "right"], GAP),
        (pd.array(["left", "right", pd.NA, "left"], dtype="string"), ["left", "right"], GAP),
        (pd.Categorical(["z", "a", None, "z"], categories=["z", "a", "never"]), ["z", "a", "never"], GAP),
        (pd.Categorical([1, 5, 5, 1]), [1, 5], None),
        ([False, True, True, False], [False, True], None),
        ([False, True, None, False], [False, True], GAP),
        (pd.array([False, True, pd.NA, False], dtype="boolean"), [False, True], GAP),
        ([0, 1, 1, 0], None, None),
        ([0.0, 1.0, np.nan, 0.0], None, GAP),
        (pd.array([0, 1, pd.NA, 0], dtype="Int8"), None, GAP),
        (pd.Series([0, 1, None, 0], dtype=object), None, GAP),
    ],
)
def test_a_choice_becomes_integers_with_labels_and_a_mask(column, labels, seen):
    data = jl.table(pd.DataFrame({"choice": column, "x": range(4)}), y="choice", x="x")
    assert data.coords.get("choice") == data.coords.get("category") == labels
    values = data["y"] if seen is None else data["y"].values
    assert values.dtype == np.int64 and np.array_equal(values[GAP], LEFT[GAP])
    if seen is None:
        assert np.array_equal(values, LEFT)
    else:
        assert np.array_equal(data["y"].mask, seen)


def test_numbers_of_every_width_are_inputs():
    frame = pd.DataFrame({"y": [0.5, 1.5, 2.5]})
    for column in (
        np.array([1, 2, 4], np.uint8),
        pd.array([1, 2, 4], dtype="Int64"),
        pd.array([1.0, 2.0, 4.0], dtype="Float32"),
        pd.Series([1, 2.0, 4], dtype=object),
    ):
        assert jl.table(frame.assign(x=column), y="y", x="x")["x"].tolist() == [[1], [2], [4]]
    assert jl.table(frame.assign(x=[True, False, True]), y="y", x="x")["x"].tolist() == [[1], [0], [1]]


class OnlyInterchange:
    """A frame of a library that has nothing but the protocol."""

    def __init__(self, frame):
        self.frame = frame

    def __dataframe__(self, nan_as_null=False, allow_copy=True):
        return self.frame.__dataframe__(nan_as_null=nan_as_null, allow_copy=allow_copy)


class LikePolars:
    """The members of a frame of polars that are read."""

    def __init__(self, frame):
        self.frame, self.columns = frame, list(frame.columns)

    def get_column(self, name):
        return type(
            "Series",
            (),
            {
                "dtype": "?",
                "to_numpy": lambda _: self.frame[name].to_numpy(object),
                "__len__": lambda _: len(self.frame),
            },
        )()


@pytest.mark.filterwarnings("ignore:.*interchange")
@pytest.mark.parametrize("wrap", [OnlyInterchange, LikePolars, lambda frame: dict(frame.items())])
def test_frames_of_other_libraries_are_read(wrap):
    frame = FRAME.reset_index(drop=True)
    x = ["stimulus", jl.lag("choice"), "reward"]
    own, other = (jl.sequences(one, dataset="animal", **{**CALL, "x": x}) for one in (frame, wrap(frame)))
    assert_same(own, other)
    assert own.coords == other.coords and own.names == other.names


def test_polars_is_read():
    frame = pl.DataFrame({name: FRAME[name].astype(object).where(FRAME[name].notna(), None).tolist() for name in FRAME})
    x = ["stimulus", jl.lag("choice"), "reward"]
    own, other = (jl.sequences(one, dataset="animal", **{**CALL, "x": x}) for one in (FRAME, frame))
    assert_same(own, other)
    assert own.coords == other.coords and own.names == other.names
    choices = pl.Series("choice", ["b", None, "a"], dtype=pl.Enum(["b", "a", "c"]))
    data = jl.table(
        pl.DataFrame({"choice": choices, "n": [1, None, 3], "b": [True, None, False]}),
        y={"c": "choice", "n": "n", "b": "b"},
    )
    assert data.coords["choice"] == ["b", "a", "c"] and data["c"].values.tolist() == [0, 0, 1]
    assert data["n"].values.dtype == data["b"].values.dtype == np.int64 and data["n"].mask.tolist() == [
        True,
        False,
        True,
    ]
    assert "frame.collect()" in error_of(lambda: jl.table(frame.lazy(), y="speed"))
    assert "no rows" in error_of(lambda: jl.table(frame.head(0), y="speed"))


# --- lags -------------------------------------------------------------------------------------------------------------


def test_lags_are_those_made_by_hand_within_sequences():
    lags = [jl.lag("choice"), jl.lag("choice", 3), jl.win_stay_lose_switch("choice", "reward"), jl.lag("speed")]
    data = jl.sequences(ONE, **{**CALL, "x": [*lags, jl.exponential_filter("choice", decay=0.8, name="kernel")]})
    for x, own in zip(data["x"], groups(ONE), strict=True):
        signed, won = own["choice"].map(SIGN).fillna(0), 2 * own["reward"] - 1
        hand = [signed.shift(1), signed.shift(3), (signed * won).shift(1), own["speed"].shift(1)]
        level, kernel = 0.0, [0.0]
        for value in signed[:-1]:
            level = 0.8 * level + 0.2 * value
            kernel.append(level)
        np.testing.assert_allclose(x, np.column_stack([*(h.fillna(0) for h in hand), kernel]), rtol=1e-12)
    assert data.coords["input"] == [
        "lag(choice)",
        "lag(choice, 3)",
        "win_stay_lose_switch(choice, reward)",
        "lag(speed)",
        "kernel",
    ]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0, 1, np.nan, 1], [0, -1, 1, 0]),
        ([-1, 1, 0, 1], [0, -1, 1, 0]),
        ([True, False, None, True], [0, 1, -1, 0]),
        ([1.0, 1.0, 1.0, 0.5], [0, 1, 1, 1]),
        ([3, 7, None, 1], [0, 3, 7, 0]),
        (pd.Categorical(["b", "a", None, "b"], categories=["b", "a"]), [0, -1, 1, 0]),
    ],
)
def test_what_is_binary_becomes_signs(values, wanted):
    data = jl.sequences(pd.DataFrame({"c": values, "y": range(4)}), y="y", x=[jl.lag("c"), "y"])
    assert data["x"][0][:, 0].tolist() == wanted


def test_lags_that_make_no_sense_are_refused():
    three = FRAME.assign(choice=np.resize(["left", "right", "none"], len(FRAME)))
    assert "3 levels" in refused(three, x=[jl.lag("choice")])
    text = FRAME.assign(outcome=np.where(FRAME["reward"] == 1, "correct", "error"))
    message = refused(text, x=[jl.win_stay_lose_switch("choice", "outcome")])
    assert "the reward of" in message and "frame['outcome'] == 'correct'" in message
    assert "0 and 1, or -1 and 1" in refused(x=[jl.win_stay_lose_switch("choice", "trial")])
    assert "did you mean 'choice'?" in refused(x=[jl.lag("choise")])
    assert "rows are independent" in error_of(lambda: jl.table(FRAME, y="speed", x=[jl.lag("choice")]))
    assert "at least 1 step" in error_of(lambda: jl.lag("choice", 0))
    assert "below 1" in error_of(lambda: jl.exponential_filter("choice", 1.0))
    when = FRAME.assign(when=pd.Timestamp("2026-01-01"))
    assert "dates" in refused(when, x=[jl.lag("when")])
    infinite = FRAME.assign(speed=np.where(np.arange(len(FRAME)) == 5, np.inf, FRAME["speed"]))
    assert "the first in row 5" in refused(infinite, x=[jl.lag("speed")])


# --- formulas ---------------------------------------------------------------------------------------------------------


def test_a_formula_is_the_matrix_made_by_hand():
    pytest.importorskip("formulaic")
    text = "stimulus * block + lag(choice) + exponential_filter(choice, decay=0.5) + center(speed)"
    data = jl.sequences(ONE, **{**CALL, "x": text})
    assert data.coords["input"][:4] == ["stimulus", "block[T.B]", "block[T.C]", "lag(choice)"]
    lists = jl.sequences(ONE, **{**CALL, "x": [jl.lag("choice"), jl.exponential_filter("choice", 0.5)]})
    for x, own, lagged in zip(data["x"], groups(ONE), lists["x"], strict=True):
        s, b, c = own["stimulus"], own["block"] == "B", own["block"] == "C"
        level = own["speed"] - ONE["speed"].mean()
        hand = np.column_stack([s, b, c, lagged, level, s * b, s * c])
        np.testing.assert_allclose(x, hand, rtol=1e-12)
    with_ones = jl.sequences(ONE, **{**CALL, "x": text}, intercept=True)
    assert with_ones.coords["input"] == ["Intercept", *data.coords["input"]]
    assert jl.table(ONE, y="speed", x="0 + block").coords["input"] == ["block[A]", "block[B]", "block[C]"]


def test_another_table_is_encoded_alike():
    pytest.importorskip("formulaic")
    kept = FRAME.assign(fast=FRAME["speed"] > 0, speed2=FRAME["speed"])
    x = "stimulus * block + center(speed2) + lag(reward) + C(fast)"
    data = jl.sequences(kept, dataset="animal", **{**CALL, "x": x}, block="block")
    assert_same(data.like(kept), data)
    # A part of the same rows is encoded as it is in the whole: levels that are not in it, means, signs.
    some = kept[(kept["animal"] == "Bo") & (kept["block"] != "A")]
    part = jl.sequences(kept[kept["animal"] == "Bo"], **{**CALL, "x": x.replace(" + lag(reward)", "")}, block="block")
    new = part.like(some)
    assert new.coords["block"] == ["A", "B", "C"] and new.coords["input"] == part.coords["input"]
    np.testing.assert_allclose(
        new.in_rows(as_data(new)["x"].values),
        part.in_rows(as_data(part)["x"].values)[(kept[kept["animal"] == "Bo"]["block"] != "A").to_numpy()],
        rtol=1e-6,
    )
    message = error_of(lambda: data.like(kept.assign(block=kept["block"].where(kept["trial"] != 3, "D"))))
    row = int(np.flatnonzero(kept["trial"] == 3)[0])
    assert f"column 'block'\n  got:      'D', the first in row {row} " in message and "'A', 'B' and 'C'" in message
    # Without observations, to predict; the coding of lags is that of the first table.
    bare = jl.sequences(kept, dataset="animal", **{**CALL, "x": [jl.lag("reward"), "speed"]})
    assert set(bare.like(kept.drop(columns="choice")).data) == {"x"}
    assert "0 or 1, as when the encoding was made" in error_of(lambda: bare.like(kept.assign(reward=0.5)))
    only = kept.assign(reward=1)
    np.testing.assert_array_equal(
        np.unique(
            np.concatenate(
                jl.sequences(
                    kept, **{**CALL, "sequence": "animal", "order": None, "x": [jl.lag("reward"), "speed"]}
                ).like(only)["x"]
            )[:, 0]
        ),
        [0, 1],
    )
    again = pickle.loads(pickle.dumps(bare))
    assert_same(again.like(kept), bare)


def test_labels_of_an_observation_are_those_of_the_first_table():
    data = jl.table(pd.DataFrame({"c": ["a", "c", "b"]}), y="c")
    assert data.like({"c": ["c", None, "c"]})["y"].values.tolist() == [2, 0, 2]
    assert "'d' and 'e'" in error_of(lambda: data.like({"c": ["a", "d", "e"]}))
    numbers = jl.table({"c": [1, 2, 3]}, y="c")
    assert "expected: numbers" in error_of(lambda: numbers.like({"c": ["1", "2", "3"]}))
    assert numbers.like({"c": [True, False]})["y"].tolist() == [1, 0]


def test_formulas_that_cannot_be_evaluated_are_refused(monkeypatch):
    pytest.importorskip("formulaic")
    assert "did you mean 'stimulus'?" in refused(x="stimulis")
    assert "did you mean 'stimulus'?" in refused(x="stimulis + bias")
    assert "FormulaSyntaxError" in refused(x="stimulus +")
    assert "name 'cubed' is not defined" in refused(x="stimulus + cubed(bias)")
    assert "give y by its own argument" in refused(x="choice ~ stimulus")
    assert "an intercept alone" in refused(x="1")
    assert "of an expression" in refused(x="stimulus + lag(np.exp(speed))")
    gaps = FRAME.assign(block=FRAME["block"].where(FRAME["trial"] != 3))
    row = int(np.flatnonzero(FRAME["trial"] == 3)[0])
    assert (
        f"column 'block', in a formula\n  got:      6 of {len(FRAME)} values missing, the first in row {row} "
        in refused(gaps, x="stimulus + block")
    )
    zero = FRAME.assign(speed=np.where(np.arange(len(FRAME)) == 7, 0.0, 1.0 + np.arange(len(FRAME))))
    assert "-inf for 'np.log(speed)' in row 7 " in refused(zero, x="np.log(speed)")
    assert "3 levels" in refused(x="stimulus + lag(block)")
    monkeypatch.setitem(sys.modules, "formulaic", None)
    assert "jaxlatent[tables]" in refused(x="stimulus + bias")


# --- labels in results ------------------------------------------------------------------------------------------------


def test_labels_reach_arviz():
    data = jl.sequences(FRAME, dataset="animal", **CALL)
    nuts = jl.NUTS(chains=2, warmup=10, draws=10)
    fit = jl.fit(jl.models.hmm(2, EMISSION(2)), data, nuts, 0, coords={"state": ["one", "two"]})
    posterior = fit.to_arviz()["posterior"]
    assert posterior["weights"].dims == ("chain", "draw", "dataset", "state", "input")
    assert posterior["input"].values.tolist() == ["stimulus", "bias"]
    assert posterior["state"].values.tolist() == ["one", "two"]
    assert posterior["dataset"].values.tolist() == list(dict.fromkeys(FRAME["animal"]))
    assert fit["Ada"].summary(["weights"]).index[0] == "weights[one, stimulus]"
    # Labels that are given come first.
    other = jl.fit(jl.models.hmm(2, EMISSION(2)), data, nuts, 0, coords={"input": ["s", "b"]})
    assert other.to_arviz()["posterior"]["input"].values.tolist() == ["s", "b"]


def test_labels_of_groups_reach_a_model_by_hand():
    data = jl.table(FRAME, y={"speed": "speed"}, x=["stimulus", "bias"], block="block")
    model = jl.Model(
        {
            "alpha": dist.Normal(0.0, 1.0).expand([3]).to_event(1),
            "beta": dist.Normal(0.0, 1.0).expand([2]).to_event(1),
        },
        lambda p, d: {"speed": dist.Normal(p.alpha[d.block] + d.x @ p.beta, 1.0)},
        dims={"alpha": ("block",), "beta": ("input",)},
    )
    posterior = jl.fit(model, data, jl.NUTS(chains=2, warmup=10, draws=10), 0).to_arviz()["posterior"]
    assert posterior["block"].values.tolist() == ["A", "B", "C"]
    assert posterior["input"].values.tolist() == ["stimulus", "bias"]
    short = jl.Model(
        {"alpha": dist.Normal(0.0, 1.0).expand([4]).to_event(1)},
        lambda p, d: {"speed": dist.Normal(p.alpha[d.block], 1.0)},
        dims={"alpha": ("block",)},
    )
    assert "3 labels" in error_of(lambda: jl.fit(short, data, jl.NUTS(chains=2), 0))


FAMILIES = jl.models.emissions
NAMED = [
    (FAMILIES.CategoricalRegression(2, 3), "weights", ("state", "category", "input")),
    (FAMILIES.PoissonRegression(2), "biases", ("state",)),
    (FAMILIES.LinearRegression(2), "covs", ("state",)),
    (FAMILIES.HeteroscedasticRegression(2), "scale_weights", ("state", "input")),
    (FAMILIES.Autoregression(2), "weights", ("state", "lag")),
    (FAMILIES.Gaussian(), "means", ("state",)),
    (FAMILIES.Gaussian(2), "covs", ("state", "feature", "other_feature")),
    (FAMILIES.Gaussian(2, "diagonal"), "covs", ("state", "feature")),
    (FAMILIES.Gaussian(2, "spherical"), "covs", ("state",)),
    (FAMILIES.Gaussian(2, "tied"), "means", ("state", "feature")),
    (FAMILIES.StudentT(), "scales", ("state",)),
    (FAMILIES.Bernoulli(2), "probs", ("state", "feature")),
    (FAMILIES.Categorical(3), "probs", ("state", "category")),
    (FAMILIES.Poisson(), "rates", ("state",)),
    (FAMILIES.NegativeBinomial(), "rates", ("state",)),
    (EMISSION(2, bias=False), "weights", ("state", "input")),
]


@pytest.mark.parametrize(("emissions", "name", "dims"), NAMED, ids=lambda x: type(x).__name__)
def test_the_dimensions_of_ready_families_have_the_lengths_of_their_parameters(emissions, name, dims):
    y = np.zeros((2, 9) + (2,) * emissions.event_dim, np.int32 if "category" in dims or "probs" in name else np.float32)
    data = {"y": y, "x": np.zeros((2, 9, 2), np.float32), "u": np.zeros((2, 9, 4), np.float32)}
    lengths = {"state": 5, "next_state": 5, "component": 5, "input": 2, "lag": 2, "category": 3, "feature": 2}
    lengths["other_feature"] = 2
    lengths["transition_input"] = 4
    for model, lead in (
        (jl.models.hmm(5, emissions), "state"),
        (jl.models.hmm(5, emissions, jl.models.InputDriven(4)), "state"),
        (jl.models.mixture(5, emissions), "component"),
        (jl.models.mixture(5, emissions, jl.models.Gate(2)), "component"),
    ):
        shapes = model.shapes(as_data(data)).named
        assert model.dims[name] == (lead, *dims[1:])
        for parameter, axes in model.dims.items():
            assert shapes[parameter] == tuple(lengths[axis] for axis in axes)


# --- what is refused, and what is warned of ---------------------------------------------------------------------------


def test_missing_and_infinite_values_are_told_by_column_and_row():
    def broken(column, value, rows):
        frame = FRAME.copy()
        frame[column] = frame[column].astype(object if value is None else frame[column].dtype)
        frame.iloc[rows, frame.columns.get_loc(column)] = value
        return frame

    n = len(FRAME)
    assert f"column 'stimulus', in x\n  got:      2 of {n} values missing, the first in row 9 " in refused(
        broken("stimulus", np.nan, [9, 30])
    )
    assert f"column 'stimulus', in x\n  got:      1 of {n} values infinite, the first in row 4 " in refused(
        broken("stimulus", np.inf, [4])
    )
    assert "column 'speed', in y\n" in refused(broken("speed", -np.inf, [4]), y="speed")
    assert "column 'session', sequence\n" in refused(broken("session", None, [2]))
    assert "column 'animal', dataset\n" in refused(broken("animal", None, [2]))
    assert "column 'trial', order\n" in refused(FRAME.assign(trial=FRAME["trial"].where(np.arange(n) != 3)))
    covariate = broken("block", None, [8])
    assert "y={'block': 'block'}" in refused(covariate, block="block")
    assert not jl.table(covariate, y={"block": "block"})["block"].mask[8]
    assert "no value in any row" in refused(FRAME.assign(choice=None))


def test_an_order_that_is_none_is_refused():
    twice = FRAME.copy()
    rows = np.flatnonzero((FRAME["animal"] == "Bo") & (FRAME["session"] == "s1") & FRAME["trial"].isin([5, 6]))
    twice.iloc[rows, twice.columns.get_loc("trial")] = 5
    message = refused(twice)
    assert f"5 in rows {rows[0]} and {rows[1]} (counted from 0) in sequence 's1' of dataset 'Bo'" in message
    assert "drop duplicate rows" in message
    # A label of both animals is two sequences only where datasets are told.
    assert "in sequence 's" in refused(dataset=None)
    assert "text sorts '10' before '2'" in refused(FRAME.assign(trial=FRAME["trial"].astype(str)))
    with pytest.warns(UserWarning, match=r"numbers are skipped 6 times, first from 3 to 5 in sequence"):
        jl.sequences(FRAME[FRAME["trial"] != 4], dataset="animal", **CALL)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y": "choise"}, ["sequences(...), y", "did you mean 'choice'?"]),
        ({"sequence": "Session"}, ["sequences(...), sequence", "did you mean 'session'?"]),
        ({"dataset": "animals"}, ["did you mean 'animal'?"]),
        ({"order": "trials"}, ["did you mean 'trial'?"]),
        ({"x": ["stimulus", "biass"]}, ["sequences(...), x", "did you mean 'bias'?"]),
        ({"x": []}, ["an empty list"]),
        ({"x": ["bias", "bias"]}, ["'bias' twice"]),
        ({"x": ["block"]}, ["column 'block', in x", "'A', 'B' and 'C'", "C(block)"]),
        ({"x": ["number"]}, ["pd.to_numeric(frame['number'])"]),
        ({"y": "number"}, ["pd.to_numeric(frame['number'])", "CategoricalDtype"]),
        ({"x": ["when"]}, ["dates", "pd.Timedelta"]),
        ({"y": "when"}, ["dates", "pd.Timedelta"]),
        ({"y": ["speed", "block"]}, ["a vector", "expected: numbers or booleans"]),
        ({"y": "mixed"}, ["values of type int (1) and of type str ('a')"]),
        ({"x": ["wave"]}, ["complex"]),
        ({"extra": 3.0}, ["{**data, name: value}"]),
        ({"y": {"x": "speed"}}, ["'x' twice"]),
        ({"input": "block"}, ["labels of 'input'", "another name"]),
        ({"x": ["row"]}, ["'row', which is not a column", "frame.reset_index()"]),
    ],
)
@pytest.mark.usefixtures("wrong_types")
def test_what_cannot_be_used_is_refused_by_name(changes, words):
    frame = FRAME.assign(
        number=FRAME["trial"].astype(str),
        when=pd.Timestamp("2026-01-01"),
        mixed=np.resize(np.array([1, "a"], object), len(FRAME)),
        wave=1j,
    ).rename_axis("row")
    message = refused(frame, **changes)
    assert all(word in message for word in words), message


def test_frames_that_are_none_are_refused():
    assert "no rows, and 9 columns" in refused(FRAME[:0])
    assert "2 columns have" in refused(pd.concat([FRAME, FRAME[["bias"]]], axis=1))
    assert "list, which cannot be read" in refused([1, 2])
    assert "cannot be read" in refused({"y": [1, 2], "x": [1]})
    assert "no y, x or other entry" in error_of(lambda: jl.table(FRAME))


def test_constant_inputs_are_warned_of_unless_they_are_meant():
    ones = FRAME.assign(one=1.0, own=(FRAME["animal"] == "Bo") * FRAME["bias"])
    with pytest.warns(UserWarning, match="'one' is constant. Regressions have biases"):
        jl.sequences(ones, dataset="animal", **{**CALL, "x": ["stimulus", "one"]})
    with pytest.warns(UserWarning, match="'own' is constant in dataset 'Ada'"):
        jl.sequences(ones, dataset="animal", **{**CALL, "x": ["stimulus", "own"]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = jl.sequences(ones, **{**CALL, "sequence": "animal", "order": None, "x": ["stimulus", "1"]})
    assert data.coords["input"] == ["stimulus", "1"] and set(np.concatenate(data["x"])[:, 1]) == {1.0}


def test_data_are_plain_to_jax_and_dict():
    data = jl.sequences(ONE, **CALL)
    doubled = jax.tree.map(lambda x: 2 * x, data)
    assert type(doubled) is dict
    np.testing.assert_array_equal(doubled["x"][1], 2 * data["x"][1])
    assert_same({**data}, data)
    assert_same(pickle.loads(pickle.dumps(data)), data)


# Groups of sequences in one dataset.


def test_groups_keep_sequences_of_one_label_apart_and_number_them_as_they_occur():
    data = jl.sequences(FRAME, group="animal", **CALL)
    own = [one.sort_values("trial") for _, one in FRAME.groupby(["animal", "session"], sort=False)]
    animals = list(dict.fromkeys(FRAME["animal"]))
    assert [len(y.values) for y in data["y"]] == [len(one) for one in own]
    for x, one in zip(data["x"], own, strict=True):
        np.testing.assert_allclose(x, one[["stimulus", "bias"]])
    np.testing.assert_array_equal(data["animal"], [animals.index(one["animal"].iloc[0]) for one in own])
    assert data.coords["animal"] == animals
    assert data.coords["sequence"] == [f"{one['animal'].iloc[0]}, {one['session'].iloc[0]}" for one in own]
    back = data.in_rows(as_data(data)["x"].values)
    np.testing.assert_allclose(back, FRAME[["stimulus", "bias"]], rtol=1e-6)


def test_groups_of_another_table_keep_their_numbers_and_new_ones_follow():
    data = jl.sequences(FRAME, group="animal", **CALL)
    known = data.coords["animal"]
    new = data.like(messy(animals=("Cy", known[1])))
    assert new.coords["animal"] == [*known, "Cy"]
    assert {2, 1} == set(new["animal"].tolist())
    again = data.like(FRAME)
    np.testing.assert_array_equal(again["animal"], data["animal"])


def test_groups_within_datasets_are_those_of_the_table():
    labs = FRAME.assign(lab=FRAME["animal"].map({"Ada": "north", "Bo": "south"}))
    data = jl.sequences(labs, dataset="lab", group="animal", **CALL)
    whole = data.coords["animal"]
    for i, lab in enumerate(data.names):
        expected = whole.index({"north": "Ada", "south": "Bo"}[lab])
        np.testing.assert_array_equal(data[i]["animal"], [expected] * 3)


def test_an_entry_cannot_have_the_name_of_the_groups():
    with pytest.raises(jl.InputError, match="'animal' twice"):
        jl.sequences(FRAME, group="animal", animal="animal", **CALL)
    with pytest.raises(jl.InputError, match="group"):
        jl.sequences(FRAME, group="anima", **CALL)
