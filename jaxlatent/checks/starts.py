"""Why there is no start: supports and the initial density, from one evaluation of the log density at the starting positions."""

from typing import Any

import jax
import numpy as np

from jaxlatent.data import split
from jaxlatent.distributions.masking import inside_support
from jaxlatent.errors import InputError
from jaxlatent.graph.naming import name_of
from jaxlatent.posterior import Posterior
from jaxlatent.typing import Array, Key


def explain_start(posterior: Posterior, key: Key, label: str) -> InputError:
    """Why no start with a finite density was found for one dataset: which prior or observation is to blame."""
    expected = "a finite log density somewhere in uniform(-2, 2) of unconstrained space (100 tries)"
    density = posterior.density
    # Traced, because at concrete parameters outside their range NumPyro itself raises, without a name.
    terms = jax.jit(lambda p: density.log_densities(p.initial_position(key), p.data, p.guides))(posterior)
    names = [name for name, term in terms.items() if not np.isfinite(term)]
    values = ", ".join(f"{name} = {float(terms[name]):.4g}" for name in names) or "the sum overflows"
    return InputError(
        label + (names[0] if names else "the log density"),
        got=f"no finite log density at the start ({values})",
        expected=expected,
        remedy="check scales and supports there, or start from plausible values (`init=`).",
    )


def explain_support(posterior: Posterior, position: Array, name: str, label: str) -> InputError:
    """Which values of observation ``name`` of one dataset lie outside the support of their distribution."""
    names: list[str] = []

    def contains(posterior: Posterior, position: Array) -> Array:
        d = posterior.density.observed(posterior.constrain(position), posterior.data)[name]
        names[:] = [name_of(d), _kind_of(d.support)]
        return inside_support(d, posterior.data[name])

    inside = np.asarray(jax.jit(contains)(posterior, position))
    where = tuple(int(i) for i in np.argwhere(~inside)[0])
    value = np.asarray(split(posterior.data[name])[0])[where]
    return InputError(
        f"{label}observation {name!r}",
        got=f"{int((~inside).sum())} of {inside.size} values outside the support, the first at index {where}: {value}",
        expected=f"values in the support of {names[0]}: {names[1]}",
        remedy="correct the data (integers where it counts, categories from 0), or choose another distribution.",
    )


def _kind_of(support: Any) -> str:
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    return type(support).__name__.lstrip("_")
