"""Whether observations lie in the support of their distributions, and the error where they do not."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.compiled import compiled
from jaxlatent.data.arrays import split
from jaxlatent.distributions.masking import inside_support
from jaxlatent.distributions.supports import entry_support
from jaxlatent.errors import InputError
from jaxlatent.graph.naming import name_of
from jaxlatent.posterior.lanes import over_lanes
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Params

#: So many parameters are tried before values count as outside the support of all: it may depend on them.
_SOME = 8


def supported(posterior: Posterior, params: Params) -> dict[str, Array]:
    """For each observation, whether all values lie in its support; empty if the density does not know its observations."""
    density, data = posterior.density, posterior.data
    return {
        name: jnp.all(inside_support(d, density.observation(name, params, data)))
        for name, d in density.observed(params, data).items()
    }


def require_support(posterior: Posterior, params: Mapping[str, Any], leading: int, names: Sequence[Any] | None) -> None:
    """Refuse observations that are outside their support whatever the parameters, of which some are tried.

    Their density would be a number without meaning, as of a 3 under a Bernoulli.

    Args:
        posterior: nameless, with a dataset axis.
        params: whose ``leading`` axes are ``(dataset, lane, draw?)``.
        leading: their number.
        names: of the datasets, None for one.

    Raises:
        InputError: that names the dataset, the first such value and the support.
    """
    flat = {name: np.reshape(x, (x.shape[0], -1, *x.shape[leading:])) for name, x in params.items()}
    if not flat:
        return
    some = np.unique(np.linspace(0, next(iter(flat.values())).shape[1] - 1, _SOME).astype(int))
    tried = {name: x[:, some] for name, x in flat.items()}
    for name, inside in _inside(posterior, tried).items():
        for dataset in np.flatnonzero(~np.asarray(inside).any(1)).tolist():
            label = "" if names is None else f"dataset {names[dataset]!r}, "
            first = {key: jnp.asarray(x[dataset, 0]) for key, x in tried.items()}
            raise explain_support(posterior.one(dataset), first, name, label)


@compiled()
def _inside(posterior: Posterior, params: Params) -> dict[str, Array]:
    """By observation, ``(dataset, some)``; parameters that are not finite, as of a fit that failed, say nothing."""

    def one(posterior: Posterior, params: Params) -> dict[str, Array]:
        unknown = ~jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(params)]).all()
        return {name: inside | unknown for name, inside in supported(posterior, params).items()}

    return over_lanes(one, (1, 0))(posterior, params)


def explain_support(posterior: Posterior, params: Params, name: str, label: str) -> InputError:
    """Explain which values of observation ``name`` of one dataset lie outside the support of their distribution."""
    inside, values = map(np.asarray, _contained(posterior, params, name))
    names: list[str] = []

    def find_names(posterior: Posterior, params: Params) -> None:
        d = posterior.density.observed(params, posterior.data)[name]
        names.extend([name_of(d), type(entry_support(d.support)).__name__.lstrip("_")])

    jax.eval_shape(find_names, posterior, params)
    where = tuple(int(i) for i in np.argwhere(~inside)[0])
    value = values[where]
    return InputError(
        f"{label}observation {name!r}",
        got=f"{int((~inside).sum())} of {inside.size} values outside the support, the first at index {where}: {value}",
        expected=f"values in the support of {names[0]}: {names[1]}",
        remedy="correct the data (integers where it counts, categories from 0), or choose another distribution.",
    )


@compiled("name")
def _contained(posterior: Posterior, params: Params, name: str) -> tuple[Array, Array]:
    """Which values of an observation lie in its support, and the values."""
    observation = posterior.density.observation(name, params, posterior.data)
    observed: Any = posterior.density.observed(params, posterior.data)[name]
    return inside_support(observed, observation), split(observation)[0]
