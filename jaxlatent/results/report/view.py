"""What the checks look at, computed once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from jaxlatent._compat.compiled import compiled
from jaxlatent._compat.short_generator import short_key
from jaxlatent.diagnostics import relabel, rhat
from jaxlatent.keys import Purpose, key_for
from jaxlatent.latent import hidden_in
from jaxlatent.latent.hidden_markov import HiddenMarkov
from jaxlatent.model.model import Model
from jaxlatent.results.fitted import Fitted
from jaxlatent.results.summary import diagnostics, labels
from jaxlatent.typing import AnyArray, Array, Data, Key, Params

_PRIOR_DRAWS = 4000
#: Chains of which so large a share of the draws counts have found one distribution.
MIXING = 0.05


@dataclass(frozen=True)
class View:
    """A result of draws, flat, without the lanes that failed.

    Attributes:
        result: itself.
        chains: numbers of the lanes that did not fail.
        names: the parameter of each part.
        labels: of the scalar parts of all parameters, such as ``theta[3]``; those that are constant are left out.
        moving: which parts these are.
        draws: ``(chain, draw, part)``.
        r_hat, ess: by part; ``ess`` is the smaller of bulk and tail.
        observed: distributions of the observations, of shapes and kinds only, without values; empty for a bare log density.
        switching: names of parameters whose labels are in another order in other chains or draws.
    """

    result: Fitted
    chains: np.ndarray
    names: tuple[str, ...]
    labels: tuple[str, ...]
    moving: np.ndarray
    draws: np.ndarray
    r_hat: np.ndarray
    ess: np.ndarray
    observed: Mapping[str, dist.Distribution]
    switching: tuple[str, ...]

    @property
    def flat(self) -> np.ndarray:
        """Draws of all chains, ``(draw, part)``."""
        return self.draws.reshape(-1, self.draws.shape[-1])

    @property
    def first(self) -> dict[str, Array]:
        """The parameters at one draw, for shapes and kinds."""
        return _first(self.result)

    @property
    def mixing(self) -> np.ndarray:
        """Parts whose chains found one distribution; where so many draws count, R-hat is high only because there are few."""
        chains, draws = self.draws.shape[:2]
        mixing: np.ndarray = (self.r_hat < 1.05) | (self.ess > max(5 * chains, MIXING * chains * draws))
        return mixing

    @cached_property
    def prior(self) -> np.ndarray | None:
        """Draws of the prior ``(draw, part)``; NaN where it is improper, None where there is none."""
        drawn = _prior(self.result)
        return None if drawn is None else drawn[:, self.moving]


def view_of(result: Fitted) -> View:
    """The view of a result of draws."""
    standing = np.flatnonzero(~result._failed())
    kept: Callable[[str], Any] = lambda name: jax.tree.map(lambda x: x[standing], getattr(result, name))
    result = replace(
        result, **{name: kept(name) for name in ("params", "derived", "positions", "statistics", "objective", "status")}
    )
    parts = [(name, label) for name, value in result.params.items() for label in labels(result, name, value)]
    draws = _joined(result.params, 2)
    moving = np.ptp(draws, (0, 1)) > 0
    draws = draws[..., moving]
    names, texts = zip(*(part for part, moves in zip(parts, moving, strict=True) if moves), strict=True)
    found = {name: values[0] for name, values in diagnostics(draws[None]).items()}
    ess = np.minimum(found["ess_bulk"], found["ess_tail"])
    # Traced, which computes and compiles nothing.
    observed = jax.eval_shape(result.posterior.density.observed, _first(result), result.posterior.data)
    switching = _switching(result, observed) if np.any(found["r_hat"] > 1.05) else ()
    return View(result, standing, names, texts, moving, draws, found["r_hat"], ess, observed, switching)


def _first(result: Fitted) -> dict[str, Array]:
    return {name: jnp.asarray(value[0, 0]) for name, value in result.params.items()}


def _joined(params: Mapping[str, AnyArray], leading: int) -> np.ndarray:
    """All parts on the last axis."""
    values = [np.asarray(value, float) for value in params.values()]
    return np.concatenate([value.reshape(*value.shape[:leading], -1) for value in values], -1)


def _prior(result: Fitted) -> np.ndarray | None:
    model = getattr(result.posterior.density, "model", None)
    if model is None:
        return None
    known = {name: value.reshape(-1, *value.shape[2:]) for name, value in result.params.items()}
    rows = np.linspace(0, len(next(iter(known.values()))) - 1, _PRIOR_DRAWS).astype(int)
    known = {name: value[rows] for name, value in known.items()}
    draws = _draw_prior(model, jax.random.key(0), known, result.posterior.data)
    return _joined({name: draws[name] for name in result.params}, 1)


@compiled("model", quick=True)
def _draw_prior(model: Model, seed: Key, known: Params, data: Data) -> Params:
    """A draw for each of ``known``; NaN where the prior is improper, while what follows from such a parameter is drawn at its known one."""
    keys = jax.random.split(short_key(key_for(Purpose.CHECK, seed)), _PRIOR_DRAWS)

    def one(key: Key, known: Params) -> Params:
        params: Params = {}
        improper: Params = {}
        for i, name in enumerate(model.prior):
            try:
                params[name] = model.prior_of(name, params, data).sample(jax.random.fold_in(key, i))
            except NotImplementedError:
                params[name] = known[name]
                improper[name] = jnp.full_like(known[name], jnp.nan)
        return params | improper

    return jax.vmap(one)(keys, known)


def _switching(result: Fitted, observed: Mapping[str, dist.Distribution]) -> tuple[str, ...]:
    """Parameters that agree between chains once their labels are in one order, and not before."""
    axes = _label_axes(result, observed)
    if not axes:
        return ()

    def worst(params: Mapping[str, np.ndarray]) -> float:
        return max(float(np.nanmax(rhat(np.asarray(params[name], float)))) for name in axes)

    before, after = worst(result.params), worst(relabel(result.params, axes).params)
    return tuple(axes) if after < 1.05 or after - 1 < 0.2 * (before - 1) else ()


def _label_axes(result: Fitted, observed: Mapping[str, dist.Distribution]) -> dict[str, tuple[int, ...]]:
    """The axes of parameters that are as long as a mixture or chain has components."""
    axes: dict[str, tuple[int, ...]] = {}
    for d in observed.values():
        if hidden_in(d) is None:
            continue
        count = d.num_states if isinstance(d, HiddenMarkov) else d.mixture_size
        for name, value in result.params.items():
            places = tuple(axis for axis, length in enumerate(value.shape[2:]) if length == count)
            # The transition matrix has the label twice; elsewhere a second axis of the same length is something else.
            axes |= {name: places if name == "transition_matrix" else places[:1]} if places else {}
    return axes
