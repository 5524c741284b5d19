"""What the checks look at, computed once."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from jaxlatent.diagnostics import relabel, rhat
from jaxlatent.distributions.hidden_markov import HiddenMarkov
from jaxlatent.errors import InputError
from jaxlatent.keys import Purpose, key_for
from jaxlatent.latent import hidden_in
from jaxlatent.summary import diagnostics, labels
from jaxlatent.typing import Array

if TYPE_CHECKING:
    from jaxlatent.results import Result

_PRIOR_DRAWS = 4000
#: Chains of which so large a share of the draws counts have found one distribution.
MIXING = 0.05


class View(NamedTuple):
    """A result of draws, flat.

    Attributes:
        result: itself.
        names: the parameter of each part.
        labels: of the scalar parts of all parameters, such as ``theta[3]``; those that are constant are left out.
        draws: ``(chain, draw, part)``.
        r_hat, ess: by part; ``ess`` is the smaller of bulk and tail.
        observed: distributions of the observations at one draw, for shapes and kinds; empty for a bare log density.
        prior: draws of the prior ``(draw, part)``; None where it is improper or unknown.
        switching: names of parameters whose labels are in another order in other chains or draws.
    """

    result: "Result"
    names: tuple[str, ...]
    labels: tuple[str, ...]
    draws: np.ndarray
    r_hat: np.ndarray
    ess: np.ndarray
    observed: Mapping[str, dist.Distribution]
    prior: np.ndarray | None
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
        return (self.r_hat < 1.05) | (self.ess > max(5 * chains, MIXING * chains * draws))


def view_of(result: "Result") -> View:
    """The view of a result of draws."""
    parts = [(name, label) for name, value in result.params.items() for label in labels(result, name, value)]
    draws = _joined(result.params, 2)
    moving = np.ptp(draws, (0, 1)) > 0
    draws, prior = draws[..., moving], _prior(result)
    names, texts = zip(*(part for part, moves in zip(parts, moving, strict=True) if moves), strict=True)
    found = {name: values[0] for name, values in diagnostics(draws[None]).items()}
    ess = np.minimum(found["ess_bulk"], found["ess_tail"])
    observed = result.posterior.density.observed(_first(result), result.posterior.data)
    switching = _switching(result, observed) if np.any(found["r_hat"] > 1.05) else ()
    prior = None if prior is None else prior[:, moving]
    return View(result, names, texts, draws, found["r_hat"], ess, observed, prior, switching)


def _first(result: "Result") -> dict[str, Array]:
    return {name: jnp.asarray(value[0, 0]) for name, value in result.params.items()}


def _joined(params: Mapping[str, np.ndarray], leading: int) -> np.ndarray:
    """All parts on the last axis."""
    values = [np.asarray(value, float) for value in params.values()]
    return np.concatenate([value.reshape(*value.shape[:leading], -1) for value in values], -1)


def _prior(result: "Result") -> np.ndarray | None:
    model, data = getattr(result.posterior.density, "model", None), result.posterior.data
    if model is None:
        return None
    try:
        keys = jax.random.split(key_for(Purpose.CHECK, 0), _PRIOR_DRAWS)
        draws = jax.vmap(lambda key: model.sample_prior(key, data))(keys)
    except InputError:
        return None
    return _joined({name: draws[name] for name in result.params}, 1)


def _switching(result: "Result", observed: Mapping[str, dist.Distribution]) -> tuple[str, ...]:
    """Parameters that agree between chains once their labels are in one order, and not before."""
    axes = _label_axes(result, observed)
    if not axes:
        return ()
    worst = lambda params: max(float(np.nanmax(rhat(np.asarray(params[name], float)))) for name in axes)
    before, after = worst(result.params), worst(relabel(result.params, axes).params)
    return tuple(axes) if after < 1.05 or after - 1 < 0.2 * (before - 1) else ()


def _label_axes(result: "Result", observed: Mapping[str, dist.Distribution]) -> dict[str, tuple[int, ...]]:
    """The axes of parameters that are as long as a mixture or chain has components."""
    axes: dict[str, tuple[int, ...]] = {}
    for d in observed.values():
        if hidden_in(d) is None:
            continue
        count = d.num_states if isinstance(d, HiddenMarkov) else d.mixing_distribution.probs.shape[-1]
        for name, value in result.params.items():
            places = tuple(axis for axis, length in enumerate(value.shape[2:]) if length == count)
            # The transition matrix has the label twice; elsewhere a second axis of the same length is something else.
            axes |= {name: places if name == "transition_matrix" else places[:1]} if places else {}
    return axes
