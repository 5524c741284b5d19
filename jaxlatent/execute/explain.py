"""Error messages for a start without a finite log density: which prior, likelihood or support is the cause."""

from functools import partial

import jax
import numpy as np

from jaxlatent.data.arrays import split
from jaxlatent.distributions.masking import inside_support
from jaxlatent.distributions.supports import entry_support
from jaxlatent.errors import InputError
from jaxlatent.graph.naming import name_of
from jaxlatent.posterior.posterior import Posterior
from jaxlatent.typing import Array, Key


def explain_start(posterior: Posterior, key: Key, label: str) -> InputError:
    """Explain why no start with a finite density was found for one dataset: which prior or observation is not finite."""
    expected = "a finite log density somewhere in uniform(-2, 2) of unconstrained space (100 tries)"
    # Evaluated under jit, because NumPyro itself raises at concrete parameters outside their support, without the name.
    terms = _log_densities(posterior, key)
    names = [name for name, term in terms.items() if not np.isfinite(term)]
    values = ", ".join(f"{name} = {float(terms[name]):.4g}" for name in names) or "the sum overflows"
    return InputError(
        label + (names[0] if names else "the log density"),
        got=f"no finite log density at the start ({values})",
        expected=expected,
        remedy="check scales and supports there, or start from plausible values (`init=`).",
    )


def explain_support(posterior: Posterior, position: Array, name: str, label: str) -> InputError:
    """Explain which values of observation ``name`` of one dataset lie outside the support of their distribution."""
    inside, values = map(np.asarray, _contained(posterior, position, name))
    names: list[str] = []

    def find_names(posterior: Posterior, position: Array) -> None:
        d = posterior.density.observed(posterior.constrain(position), posterior.data)[name]
        names.extend([name_of(d), type(entry_support(d.support)).__name__.lstrip("_")])

    jax.eval_shape(find_names, posterior, position)
    where = tuple(int(i) for i in np.argwhere(~inside)[0])
    value = values[where]
    return InputError(
        f"{label}observation {name!r}",
        got=f"{int((~inside).sum())} of {inside.size} values outside the support, the first at index {where}: {value}",
        expected=f"values in the support of {names[0]}: {names[1]}",
        remedy="correct the data (integers where it counts, categories from 0), or choose another distribution.",
    )


@jax.jit
def _log_densities(posterior: Posterior, key: Key) -> dict[str, Array]:
    return posterior.density.log_densities(posterior.initial_position(key), posterior.data, posterior.guides)


@partial(jax.jit, static_argnames="name")
def _contained(posterior: Posterior, position: Array, name: str) -> tuple[Array, Array]:
    """Which values of an observation lie in its support, and the values."""
    params = posterior.constrain(position)
    observation = posterior.density.observation(name, params, posterior.data)
    return inside_support(posterior.density.observed(params, posterior.data)[name], observation), split(observation)[0]
