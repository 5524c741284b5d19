"""Short names of distributions, and the axes along which they are independent."""

import re
from typing import Any

import numpy as np
import numpyro.distributions as dist

from jaxlatent.distributions.centring import Recentred
from jaxlatent.distributions.normals import Normals
from jaxlatent.distributions.ordered import Ordered
from jaxlatent.distributions.restricted import Restricted
from jaxlatent.distributions.supports import entry_support
from jaxlatent.errors import InputError
from jaxlatent.latent.hidden_markov import HiddenMarkov

#: Distributions that wrap another one: format of the name, and the attribute of the wrapped distribution.
_WRAPPERS = {
    HiddenMarkov: ("HiddenMarkov of {}", "emissions"),
    Ordered: ("ordered {}", "base"),
    dist.MixtureSameFamily: ("Mixture of {}", "component_distribution"),
    dist.ZeroInflatedProbs: ("ZeroInflated{}", "base_dist"),
    dist.FoldedDistribution: ("Folded{}", "base_dist"),
    dist.LeftTruncatedDistribution: ("Truncated{}", "base_dist"),
    dist.RightTruncatedDistribution: ("Truncated{}", "base_dist"),
    dist.TwoSidedTruncatedDistribution: ("Truncated{}", "base_dist"),
}


def name_of(d: dist.Distribution) -> str:
    """The short name, such as "Normal", "MvNormal", "Mixture of Normal"."""
    d = _core(d)
    for kind, (phrase, attribute) in _WRAPPERS.items():
        if isinstance(d, kind):
            return phrase.format(name_of(getattr(d, attribute)))
    if isinstance(d, dist.MixtureGeneral):
        return "Mixture of " + ", ".join(dict.fromkeys(map(name_of, d.component_distributions)))
    if type(d) is dist.TransformedDistribution:
        return f"transformed {name_of(d.base_dist)}"
    if isinstance(d, Normals):
        return "MvNormal"
    if isinstance(d, dist.ImproperUniform):
        return "Flat"
    return re.sub("(Probs|Logits)$", "", type(d).__name__).replace("Multivariate", "Mv")


def described(d: dist.Distribution) -> str:
    """The short name with the arguments, as in "Normal(0, 10)", if each is one number; otherwise the short name alone."""
    if isinstance(d, Restricted):
        return f"{described(d.base)}, some entries held or tied"
    core = _core(d)
    while isinstance(core, Ordered):
        core = _core(core.base)
    names = () if type(core) in _WRAPPERS else core.arg_constraints
    values = [np.unique(np.asarray(getattr(core, name))) for name in names]
    if not values or any(len(value) != 1 for value in values):
        return name_of(d)
    return f"{name_of(d)}({', '.join(f'{value[0]:.4g}' for value in values)})"


def replicated(d: dist.Distribution) -> tuple[int, ...]:
    """The leading axes of a draw along which it is independent given its parents, also if declared as event axes."""
    core, shape = _core(d), tuple(d.shape())
    return shape[
        : len(shape) - (entry_support(core.support) if isinstance(core, dist.ImproperUniform) else core).event_dim
    ]


def _core(d: dist.Distribution) -> dist.Distribution:
    """``d`` without wrappers that change only shapes, masks, coordinates or restrictions."""
    while True:
        if isinstance(d, dist.Independent | dist.ExpandedDistribution | dist.MaskedDistribution):
            d = d.base_dist
        elif isinstance(d, Recentred | Restricted):
            d = d.base
        else:
            return d


def require_distribution(name: str, d: Any) -> None:
    """Raise `InputError` where a likelihood returns something else for observation ``name``."""
    if not isinstance(d, dist.Distribution):
        raise InputError(
            f"the likelihood of {name!r}",
            got=type(d).__name__,
            expected="a numpyro distribution",
            remedy="return {observation: distribution}; declare quantities computed from parameters in `derived`.",
        )
