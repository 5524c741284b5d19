"""`require_symmetry`: refuse to permute labels that are not exchangeable."""

from collections.abc import Callable
from itertools import pairwise

import jax.numpy as jnp
import numpy as np

from jaxlatent._compat.compiled import compiled
from jaxlatent.diagnostics import permute
from jaxlatent.errors import InputError, listed
from jaxlatent.posterior.model_density import ModelDensity
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Params

#: Relative and absolute change of a log density, or of a value, that is rounding.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-3


def require_symmetry(
    posterior: Posterior, params: Params, axes: dict[str, tuple[int, ...]], what: str = "align"
) -> None:
    """Raise `InputError` unless permuting labels changes no term of the log joint, and leaves the support of no prior.

    Args:
        posterior: of one dataset.
        params: one value, with unequal labels.
        axes: by parameter, the axes that the labels index.
        what: the method of the result, for messages.

    Raises:
        InputError: naming the terms that change.
    """
    number = params[next(iter(axes))].shape[next(iter(axes.values()))[0]]
    identity = np.arange(number)
    # A transposition and a cycle generate all permutations.
    orders = (identity, np.append([1, 0], identity[2:]), np.roll(identity, 1))
    values = [{name: jnp.asarray(x) for name, x in permute(params, order, axes).items()} for order in orders]
    terms, back = zip(*(_terms(posterior, value) for value in values), strict=True)
    near: Callable[[Array, Array], bool] = lambda a, b: bool(np.allclose(a, b, _RELATIVE, _ABSOLUTE))
    changed = [term for term in terms[0] if not all(near(a[term], b[term]) for a, b in pairwise(terms))]
    outside = [
        f"prior of {name!r}"
        for name in axes
        for value, found in zip(values, back, strict=True)
        if not np.allclose(value[name], found[name], _RELATIVE, _ABSOLUTE * np.abs(value[name]).max())
    ]
    names = list(dict.fromkeys([*outside, *changed]))
    if names:
        raise InputError(
            f"result.{what}(...)",
            got=f"labels that are not exchangeable: to permute them changes the {listed(names)}",
            expected="a model that is the same for every order of its labels",
            remedy="labels of an ordered, fixed or unequal prior have their order by themselves. If an axis was mistaken for theirs "
            f"(taken: {axes}), name theirs 'state' or 'component' in Model(dims=...).",
        )


@compiled()
def _terms(posterior: Posterior, params: Params) -> tuple[dict[str, Array], Params]:
    """The terms of the log joint, and the values after a round trip through positions."""
    density, data = posterior.density, posterior.data
    position = posterior.unconstrain(params)
    back = posterior.constrain(position)
    if not isinstance(density, ModelDensity):
        return {"log density": posterior.log_density(position, jacobian=False)}, back
    priors = {
        f"prior of {name!r}": jnp.sum(density.model.prior_of(name, params, data).log_prob(params[name]))
        for name in density.names
    }
    likelihoods = {
        f"likelihood of {name!r}": jnp.sum(term) for name, term in density.log_likelihood(params, data).items()
    }
    return {**priors, **likelihoods}, back
