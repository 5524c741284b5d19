"""NumPyro's censored distributions: their densities read who was censored, their draws are of what nobody censored."""

import warnings
from collections.abc import Sequence
from typing import Any

import jax
import numpyro.distributions as dist

from jaxlatent.distributions.masking import masked_log_prob
from jaxlatent.errors import InputError

_CENSORED = (dist.LeftCensoredDistribution, dist.RightCensoredDistribution, dist.IntervalCensoredDistribution)
#: Where distributions hold those that they are made of.
_INNER = ("base_dist", "emissions", "component_distribution")


def is_censored(d: Any) -> bool:
    """Whether ``d``, or a distribution that it is made of, is censored."""
    if isinstance(d, _CENSORED):
        return True
    parts = [getattr(d, name, None) for name in _INNER] + list(getattr(d, "component_distributions", []))
    return any(is_censored(part) for part in parts if isinstance(part, dist.Distribution))


def warn_of_draws(what: str, names: Sequence[str], stacklevel: int) -> None:
    """Warn that the draws of observations with these names are uncensored, if there are any.

    Args:
        what: what drew them, for the message.
        names: of the censored observations.
        stacklevel: of the warning, counted from the caller.
    """
    if names:
        warnings.warn(
            f"{what}: draws of {', '.join(map(repr, names))} are uncensored, what would have been seen without censoring; "
            "censor them alike before you compare them with the data.",
            stacklevel=stacklevel + 1,
        )


def require_cdf(name: str, d: dist.Distribution, value: Any, mask: Any) -> None:
    """Raise `InputError` where a censored distribution is made of one without a distribution function, as expanded ones are."""
    if not is_censored(d):
        return
    try:
        jax.eval_shape(lambda x, mask: masked_log_prob(d, x, mask), value, mask)
    except NotImplementedError as error:
        raise InputError(
            f"the likelihood of {name!r}",
            got="a censored distribution of one without a cdf, such as one with `.expand`, `.mask` or `.to_event`",
            expected="a distribution with a cdf, as dist.Exponential has",
            remedy="leave `.expand` out: parameters broadcast to the shape of the indicator, as in "
            "dist.RightCensoredDistribution(dist.Exponential(rate), censored).",
        ) from error
