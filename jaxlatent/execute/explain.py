"""Error messages for a start without a finite log density: which prior or observation is the cause."""

import jax
import numpy as np

from jaxlatent.errors import InputError
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


@jax.jit
def _log_densities(posterior: Posterior, key: Key) -> dict[str, Array]:
    return posterior.density.log_densities(posterior.initial_position(key), posterior.data, posterior.guides)
