"""`simulate`: observations drawn together with their hidden states, at given parameters."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.binomial import draw
from jaxlatent._compat.compiled import compiled
from jaxlatent.data.arrays import Masked, as_data, blamed, lengths_of, shape_of
from jaxlatent.data.namespace import missing_data
from jaxlatent.distributions.censoring import is_censored, warn_of_draws
from jaxlatent.distributions.centring import family_of
from jaxlatent.distributions.factor import Factor
from jaxlatent.errors import InputError, did_you_mean, require
from jaxlatent.graph.naming import name_of
from jaxlatent.keys import Purpose, as_key
from jaxlatent.latent import hidden_in, unit_shape
from jaxlatent.latent.hidden_markov import HiddenMarkov
from jaxlatent.latent.markov.paths import ABSENT
from jaxlatent.masks import cover
from jaxlatent.model.checks import check_use
from jaxlatent.model.expansion import expand_to
from jaxlatent.model.model import Model
from jaxlatent.typing import Array, Data, Key, Params

#: What is simulated: a number of rows or steps, the lengths of several sequences, or the data that the model reads.
Size: TypeAlias = int | Sequence[int] | Data
#: The leading axes of observations, ``(N,)`` or ``(sequences, T)``; None where the data say so.
Leading: TypeAlias = tuple[int, ...] | None


_ONE_POINT = "of a fit take one point, result.best().params; of draws one of them, or their mean, result.mean()."


class Simulated(NamedTuple):
    """Simulated data and what is hidden in them, as in ``data, states = model.sample(100, seed=0, params=params)``.

    Attributes:
        data: as `jaxlatent.fit` takes them: the entries that were given, and the observations.
        states: the state or component of each step or row, integers by observation; none for observations without.
    """

    data: dict[str, Any]
    states: dict[str, Any]


def simulate(model: Model, size: Size, seed: int | Key, params: Mapping[str, Any]) -> Simulated:
    """See `jaxlatent.Model.sample`."""
    key = jax.random.fold_in(as_key(seed, "model.sample"), Purpose.SIMULATE)
    given: Data = size if isinstance(size, Mapping) else {}
    leading, lengths = (None, None) if isinstance(size, Mapping) else _axes(size)
    data, values = as_data(given), {name: jnp.asarray(value) for name, value in params.items()}
    units, like = _shapes(model, values, data, partial(_of_size, leading))
    # Of observations that are given the shape alone counts: what reads them is no simulation.
    read, shapes = (
        {name: x for name, x in data.items() if name not in like},
        {name: x.shape for name, x in like.items()},
    )
    if len(read) < len(data):
        _shapes(model, values, read, lambda name, d: expand_to(d, shapes[name]))
    _check_params(model, params, {**{name: jnp.zeros(x.shape, x.dtype) for name, x in like.items()}, **data})
    check_use(model, values, data, "predict")
    # Of a user's call of `Model.sample`.
    warn_of_draws("model.sample()", _censored(model, values, read, shapes), stacklevel=3)
    drawn, states = _draw(model, key, values, read, tuple(shapes.items()))
    form = partial(_as_given, given, data, lengths)
    observed = {name: form(name, np.asarray(value), units[name]) for name, value in drawn.items()}
    paths = {name: form(name, np.asarray(path), units[name]) for name, path in states.items()}
    absent: Callable[[Any], Any] = lambda path: (
        np.where(path.mask, path.values, ABSENT) if isinstance(path, Masked) else path
    )
    return Simulated({**given, **observed}, {name: absent(path) for name, path in paths.items()})


def _axes(size: int | Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """The leading axes of observations, and the lengths of several sequences."""
    given = np.asarray(size)
    require(
        given.ndim <= 1 and given.size > 0 and given.dtype.kind in "iu" and bool((given > 0).all()),
        "model.sample(size)",
        got=size,
        expected="a number of rows or steps, a list of the lengths of sequences, or data such as {'x': x}",
        remedy="give whole numbers above zero, as in 1000 or [200, 150].",
    )
    lengths = tuple(np.atleast_1d(given).tolist())
    return (lengths, None) if given.ndim == 0 else ((len(lengths), max(lengths)), lengths)


def _drawn(model: Model, params: Params, data: Data, one: Callable[[str, int, Any], Any]) -> dict[str, Any]:
    """``one(name, i, d)``, whose first result is a draw, for every observation; those that others depend on come first."""
    found: dict[str, Any] = {}
    given = {**data, **model.mediators(params, data)}
    for _ in range(1 + len(given) - len(data)):
        found = {
            name: one(name, i, d)
            for i, (name, d) in enumerate(model.observed(params, given).items())
            if not isinstance(d, Factor)
        }
        given = {**given, **{name: values[0] for name, values in found.items() if name not in data}}
    return found


def _shapes(
    model: Model, params: Params, data: Data, sized: Callable[[str, Any], Any]
) -> tuple[dict[str, tuple[int, ...]], dict[str, Any]]:
    """The shape of what has a state of its own, and that of the values, by observation.

    Raises:
        InputError: for parameters and data that do not go together.
    """
    units: dict[str, tuple[int, ...]] = {}

    def one(name: str, i: int, d: Any) -> tuple[Array]:
        d = sized(name, d)
        units[name] = unit_shape(d)
        return (jnp.zeros(d.shape(), int if d.support is not None and d.support.is_discrete else float),)

    def run() -> Any:
        return jax.eval_shape(lambda params, data: _drawn(model, params, data, one), params, data)

    try:
        found = blamed("the likelihood", run, data)
    except InputError as problem:
        lacking = problem.__cause__ and missing_data(problem.__cause__)  # type: ignore[arg-type]
        if lacking:
            raise InputError(
                f"model.sample(size), data {lacking!r}",
                got=f"a model that reads {lacking!r}, and {f'data named {sorted(data)}' if data else 'a number'}",
                expected="all that the likelihood reads, but the observations",
                remedy=f"pass it in place of the number, as in model.sample({{{lacking!r}: {lacking}}}, seed, params). If it is an "
                "observation, on which later ones depend, the model cannot be simulated so.",
            ) from problem
        _require_names(model, params)
        if problem.what.startswith("model.sample"):
            raise
        raise _unfit(problem, params, data) from problem
    return units, {name: values[0] for name, values in found.items()}


def _censored(model: Model, params: Params, data: Data, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Names of the observations whose distribution is censored."""
    found: dict[str, None] = {}

    def one(name: str, i: int, d: Any) -> tuple[Array]:
        found.update({name: None} if is_censored(d) else {})
        return (jnp.zeros(shapes[name]),)

    jax.eval_shape(lambda params, data: _drawn(model, params, data, one), params, data)
    return list(found)


def _of_size(leading: Leading, name: str, d: Any) -> Any:
    """The distribution of an observation, for as many values as wanted.

    Raises:
        InputError: if it cannot be expanded to them, or has no number of its own.
    """
    if leading is None:
        if isinstance(d, HiddenMarkov) and d.sequences is None:
            raise InputError(
                f"model.sample(size), observation {name!r}",
                got="data that do not say how many steps there are",
                expected="a number of steps",
                remedy="give the number, as in model.sample(100, ...), or the lengths of sequences.",
            )
        return d
    event = (d.emissions if isinstance(d, HiddenMarkov) else d).event_shape
    d = expand_to(d, (*leading, *event))
    require(
        unit_shape(d) == leading,
        f"model.sample(size), observation {name!r}",
        got=leading,
        expected=f"axes that its distribution, {name_of(d)} of batch shape {unit_shape(d)}, broadcasts to",
        remedy="leave the number to the data, as in model.sample({'x': x}, ...), or model.sample({}, ...) without any. "
        f"Parameters: {_ONE_POINT}",
    )
    return d


@compiled("model", "shapes")
def _draw(
    model: Model, key: Key, params: Params, data: Data, shapes: tuple[tuple[str, tuple[int, ...]], ...]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Observations of the given shapes, and the states of those that have them."""

    def one(name: str, i: int, d: Any) -> tuple[Array, Array | None]:
        d, own = expand_to(d, dict(shapes)[name]), jax.random.fold_in(key, i)
        hidden = hidden_in(d)
        return (draw(d, family_of(d), own), None) if hidden is None else hidden.simulate(own, d)

    found = _drawn(model, params, data, one)
    states = {name: states for name, (_, states) in found.items() if states is not None}
    return {name: value for name, (value, _) in found.items()}, states


def _require_names(model: Model, params: Mapping[str, Any]) -> None:
    """Raise `InputError` unless there is a value for every parameter, and for nothing else."""
    for name in {**model.prior, **params}:
        if name not in params or name not in model.prior:
            lacking = name in model.prior
            raise InputError(
                f"model.sample(params=...) for {name!r}",
                got="no value" if lacking else "a value of an unknown parameter",
                expected=f"a value for every parameter and nothing else: {list(model.prior)}",
                remedy="add it." if lacking else did_you_mean(name, model.prior),
            )


def _check_params(model: Model, params: Mapping[str, Any], data: Data) -> None:
    """Raise `InputError` for missing and unknown parameters, and for values of other shapes or outside the support."""
    _require_names(model, params)
    for name, value in zip(params, map(np.asarray, params.values()), strict=True):
        try:
            prior = model.prior_of(name, params, data)
        except InputError as problem:
            raise _unfit(problem, params, data) from problem
        if value.shape != prior.shape():
            raise InputError(
                f"model.sample(params=...) for {name!r}",
                got=f"shape {value.shape}",
                expected=f"{prior.shape()}, one value of the parameter",
                remedy=_ONE_POINT,
            )
        if prior.support is not None and not np.all(prior.support(value)):
            raise InputError(
                f"model.sample(params=...) for {name!r}",
                got=np.array2string(value, threshold=20).replace("\n", ""),
                expected=f"a value in the support of {name_of(prior)}",
                remedy="probabilities are zero or more and sum to 1 over the last axis; scales and rates are above zero.",
            )


def _as_given(
    given: Data, data: Data, lengths: tuple[int, ...] | None, name: str, value: np.ndarray, units: tuple[int, ...]
) -> Any:
    """Values or states in the form of the data: a list where these are lists of sequences, `Masked` where they are."""
    steps = len(units) > 1 and units[1]
    for entry in given:
        own = lengths_of(given[entry])
        if lengths is None and own is not None and len(own) == units[0]:
            # Inputs of transitions may lack a step in every sequence.
            lengths = tuple(length + steps - max(own) for length in own)
    if lengths is not None:
        return [one[:length] for one, length in zip(value, lengths, strict=True)]
    masks = [entry.mask for entry in (data.get(name), *data.values()) if isinstance(entry, Masked)]
    mask = next((np.asarray(cover(mask, units)) for mask in masks if mask.shape == units[: mask.ndim]), None)
    return value if mask is None else Masked(value, mask)


def _unfit(problem: InputError, params: Mapping[str, Any], data: Data) -> InputError:
    """The error of parameters and data that do not go together."""
    shapes = [
        ", ".join(f"{name}: {shape_of(value)}" for name, value in some.items()) or "none" for some in (params, data)
    ]
    return InputError(
        "model.sample(size, seed, params)",
        got=f"parameters of shapes {shapes[0]}; data of shapes {shapes[1]}; {problem.what}: {problem.got}",
        expected="one value of every parameter, and data that go with them",
        remedy=_ONE_POINT,
    )
