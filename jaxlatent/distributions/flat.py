"""`flat`: an improper prior, constant on its support."""

import numpyro.distributions as dist
from numpyro.distributions import constraints


def flat(support: constraints.Constraint = constraints.real, shape: tuple[int, ...] = ()) -> dist.ImproperUniform:
    """A prior of constant density on ``support``, as Stan and PyMC have it: ``jl.flat()``, ``jl.flat(constraints.positive)``.

    The posterior is proper where the likelihood makes it so. Lanes start from uniform(-2, 2) in unconstrained space, and there are no
    prior draws.

    Args:
        support: a constraint of `numpyro.distributions.constraints`.
        shape: of the parameter.
    """
    return dist.ImproperUniform(support, (), shape)
