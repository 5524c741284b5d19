"""`Density`: the interface of the static part of a posterior, everything but its data."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution

from jaxlatent.data.arrays import as_data
from jaxlatent.distributions.centring import LikelihoodFactor
from jaxlatent.latent import EStep, Expected
from jaxlatent.typing import AnyArray, Array, Key, Params, Position, PyTree

Guides = Mapping[str, LikelihoodFactor]


class Density:
    """The static part of a posterior: hashable, with pure methods.

    The methods after `unconstrain` are optional, `observation` for a density without `observed` and `expected_log_joint` for one without
    `expect`.

    Attributes:
        names: of the parameters, in the order of the declaration.
        remedy: where the density does not know its observations.
    """

    names: tuple[str, ...]
    remedy: ClassVar[str] = "declare the likelihood in a jl.Model."

    @property
    def dim(self) -> int:
        """The length of a position."""
        raise NotImplementedError

    @property
    def free_parameters(self) -> int:
        """The number of parameters that information criteria count: those that the likelihood can tell apart."""
        return self.dim

    def log_density(self, position: Position, data: PyTree, guides: Guides, jacobian: bool = True) -> Array:
        """The log density, up to a constant, of the position, or without ``jacobian`` of the constrained values."""
        raise NotImplementedError

    def constrain(self, position: Position, data: PyTree, guides: Guides) -> Params:
        """The named values at ``position``."""
        raise NotImplementedError

    def unconstrain(self, params: Mapping[str, Any], data: PyTree, guides: Guides) -> Position:
        """The position of named values."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """The name in figures and progress lines."""
        return "posterior"

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the dimensions of parameters, derived quantities and observations."""
        return {}

    @property
    def covariate_dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the dimensions of data that are not observations."""
        return {}

    @property
    def coords(self) -> Mapping[str, Collection[Any]]:
        """Labels of dimensions that the density carries."""
        return {}

    @property
    def integrates(self) -> bool:
        """Whether EM integrates over some of the parameters, so that their number is not that of free parameters."""
        return False

    def derived(self, params: Mapping[str, AnyArray], data: PyTree) -> dict[str, Array]:
        """Derived quantities, kept with the draws."""
        return {}

    def observed(self, params: Mapping[str, AnyArray], data: PyTree) -> dict[str, Distribution]:
        """The distribution of every observation; empty where the density does not know it."""
        return {}

    def observation(self, name: str, params: Mapping[str, AnyArray], data: PyTree) -> Any:
        """The observed value of a name of `observed`, `jaxlatent.Masked` where entries are missing; None if it needs none."""
        raise NotImplementedError

    def covariates(self, data: PyTree, observed: Collection[str]) -> dict[str, Any]:
        """The data besides those ``observed``, by name."""
        return {}

    def with_data(self, data: PyTree) -> tuple["Density", Any]:
        """The density for other data, and these data as arrays.

        Raises:
            InputError: for data that are not numeric arrays; see `jaxlatent.data.arrays.as_data`.
        """
        return self, as_data(data)

    def log_likelihood(self, params: Mapping[str, AnyArray], data: PyTree) -> dict[str, Array]:
        """Pointwise log likelihood by observation; empty where the density does not know it."""
        return {}

    def sample_observed(self, key: Key, params: Mapping[str, AnyArray], data: PyTree) -> dict[str, Array]:
        """One predictive draw by observation; empty where the density does not know how."""
        return {}

    def log_densities(self, position: Position, data: PyTree, guides: Guides) -> dict[str, Array]:
        """The terms of `log_density` by the name of the parameter or observation they belong to, for messages."""
        return {"the log density": self.log_density(position, data, guides)}

    def initial_position(self, key: Key, data: PyTree, guides: Guides) -> Position:
        """The starting position of a lane."""
        return jax.random.uniform(key, (self.dim,), minval=-2.0, maxval=2.0)

    def log_prior(self, params: Params, data: PyTree) -> Array:
        """The log prior density of named values, a scalar; zero where the density does not separate prior and likelihood."""
        return jnp.zeros(())

    def expect(self, params: Params, data: PyTree, how: EStep, key: Key, draws: int) -> dict[str, Expected]:
        """The E-step: expected counts of latent labels or paths, by observation; empty where the density does not know them."""
        return {}

    def expected_log_joint(self, params: Params, data: PyTree, expected: Mapping[str, Expected]) -> Array:
        """The objective of the M-step, a scalar."""
        raise NotImplementedError

    def adjustment(self, params: Params, data: PyTree, expected: Mapping[str, Expected]) -> Array | None:
        """What EM adds to the log joint, a scalar; see `jaxlatent.Model`. None where there is nothing to add."""
        return None

    def m_step(self, params: Params, data: PyTree, expected: Mapping[str, Expected]) -> Params | None:
        """The M-step in closed form; None where there is none."""
        return None
