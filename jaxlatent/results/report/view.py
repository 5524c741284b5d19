"""`View`: the draws and diagnostics that the checks share, computed once."""

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
from jaxlatent.model.model import Model
from jaxlatent.results.fitted import Fitted
from jaxlatent.results.label_axes import label_axes, numbers_of_labels
from jaxlatent.results.summary import diagnostics, joined, labels
from jaxlatent.typing import Array, Data, Key, Params

_PRIOR_DRAWS = 4000
#: Chains with a larger ratio of effective sample size to draws have mixed.
MIXING = 0.05


@dataclass(frozen=True)
class View:
    """The draws of a result as scalar parts, without failed lanes.

    Attributes:
        result: without failed lanes.
        chains: indices of the lanes that did not fail.
        names: parameter of each part.
        labels: of the scalar parts of all parameters, such as ``theta[3]``; constant parts are left out.
        moving: which parts are not constant.
        draws: ``(chain, draw, part)``.
        r_hat, ess: by part; ``ess`` is the smaller of bulk and tail.
    """

    result: Fitted
    chains: np.ndarray
    names: tuple[str, ...]
    labels: tuple[str, ...]
    moving: np.ndarray
    draws: np.ndarray
    r_hat: np.ndarray
    ess: np.ndarray

    @property
    def flat(self) -> np.ndarray:
        """Draws of all chains, ``(draw, part)``."""
        return self.draws.reshape(-1, self.draws.shape[-1])

    @property
    def first(self) -> dict[str, Array]:
        """The parameters at the first draw."""
        return {name: jnp.asarray(value[0, 0]) for name, value in self.result.params.items()}

    @property
    def mixing(self) -> np.ndarray:
        """Parts whose chains have mixed, by R-hat or, as R-hat is high for few draws, by effective sample size."""
        chains, draws = self.draws.shape[:2]
        mixing: np.ndarray = (self.r_hat < 1.05) | (self.ess > max(5 * chains, MIXING * chains * draws))
        return mixing

    @cached_property
    def observed(self) -> Mapping[str, dist.Distribution]:
        """Abstract distributions of the observations, which compute nothing; empty without a model."""
        found: Mapping[str, dist.Distribution] = jax.eval_shape(
            self.result.posterior.density.observed, self.first, self.result.posterior.data
        )
        return found

    @cached_property
    def switching(self) -> tuple[str, ...]:
        """Names of parameters with label switching."""
        return _switching(self.result, self.observed) if np.any(self.r_hat > 1.05) else ()

    @cached_property
    def prior(self) -> np.ndarray | None:
        """Draws of the prior ``(draw, part)``; NaN where improper, None without a model."""
        drawn = _prior(self.result)
        return None if drawn is None else drawn[:, self.moving]


def view_of(result: Fitted) -> View:
    """The view of a result of draws."""
    unfailed = np.flatnonzero(~result._failed())
    kept: Callable[[str], Any] = lambda name: jax.tree.map(lambda x: x[unfailed], getattr(result, name))
    result = replace(
        result,
        **{name: kept(name) for name in ("params", "derived", "unconstrained", "statistics", "objective", "status")},
    )
    parts = [(name, label) for name, value in result.params.items() for label in labels(result, name, value)]
    draws = joined(result.params, 2)
    moving = np.ptp(draws, (0, 1)) > 0
    draws = draws[..., moving]
    names, texts = zip(*(part for part, moves in zip(parts, moving, strict=True) if moves), strict=True)
    found = {name: values[0] for name, values in diagnostics(draws[None]).items()}
    ess = np.minimum(found["ess_bulk"], found["ess_tail"])
    return View(result, unfailed, names, texts, moving, draws, found["r_hat"], ess)


def _prior(result: Fitted) -> np.ndarray | None:
    model = getattr(result.posterior.density, "model", None)
    if model is None:
        return None
    known = {name: value.reshape(-1, *value.shape[2:]) for name, value in result.params.items()}
    rows = np.linspace(0, len(next(iter(known.values()))) - 1, _PRIOR_DRAWS).astype(int)
    known = {name: value[rows] for name, value in known.items()}
    draws = _draw_prior(model, jax.random.key(0), known, result.posterior.data)
    return joined({name: draws[name] for name in result.params}, 1)


@compiled("model", quick=True)
def _draw_prior(model: Model, seed: Key, known: Params, data: Data) -> Params:
    """A prior draw for each of ``known``; NaN where improper, and later parameters are then drawn given the known value."""
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
    """Parameters whose chains agree only after relabelling."""
    numbers = set(numbers_of_labels(observed).values())
    if len(numbers) != 1 or numbers == {1}:
        return ()
    shapes = {name: value.shape[2:] for name, value in result.params.items()}
    axes = label_axes(shapes, result.posterior.density.dims, numbers.pop())
    if not axes:
        return ()

    def worst(params: Mapping[str, np.ndarray]) -> float:
        return max(float(np.nanmax(rhat(np.asarray(params[name], float)))) for name in axes)

    before, after = worst(result.params), worst(relabel(result.params, axes).params)
    return tuple(axes) if after < 1.05 or after - 1 < 0.2 * (before - 1) else ()
