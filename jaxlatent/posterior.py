"""`Posterior`: a model conditioned on data, as a log density over a flat unconstrained vector.

The data are pytree *leaves* and everything else is static, so a posterior is an ordinary argument of ``jit``, ``vmap`` and
``shard_map``: one compiled program serves every dataset of the same shapes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution

from jaxlatent._compat.tracing import tracing_for
from jaxlatent.coordinates import constrain, size, unconstrain, unconstrained_shape
from jaxlatent.data import as_data, shapes_of
from jaxlatent.distributions.centring import Guide, Informed, family_of
from jaxlatent.errors import InputError
from jaxlatent.latent import EStep, Expected
from jaxlatent.model import Model
from jaxlatent.typing import Array, Data, Key, Params, Position, PyTree

Guides = Mapping[str, Guide]


class Density:
    """What a posterior is made of besides its data: static, hashable, and pure in every method.

    A density that is only a number leaves out what follows `unconstrain`.

    Attributes:
        names: the parameters, in the order of the declaration.
    """

    names: tuple[str, ...]

    @property
    def dim(self) -> int:
        """The length of a position."""
        raise NotImplementedError

    def log_density(self, position: Position, data: Any, guides: Guides, jacobian: bool = True) -> Array:
        """The log density at ``position``, up to a constant: of the position, or without ``jacobian`` of the constrained values."""
        raise NotImplementedError

    def constrain(self, position: Position, data: Any, guides: Guides) -> Params:
        """The named values at ``position``."""
        raise NotImplementedError

    def unconstrain(self, params: Mapping[str, Any], data: Any, guides: Guides) -> Position:
        """The position of named values."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """What figures and progress lines call it."""
        return "posterior"

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the dimensions of parameters, derived quantities and observations."""
        return {}

    def derived(self, params: Mapping[str, Array], data: Any) -> dict[str, Array]:
        """What is kept with the draws besides the parameters."""
        return {}

    def observed(self, params: Mapping[str, Array], data: Any) -> dict[str, Distribution]:
        """The distribution of every observation; empty where the density does not know it."""
        return {}

    def observation(self, name: str, params: Mapping[str, Array], data: Any) -> Any:
        """What was observed under a name of `observed`: a value, `jaxlatent.Masked` where some is missing; None if it needs none."""
        raise NotImplementedError

    def covariates(self, data: Any, observed: Collection[str]) -> dict[str, Any]:
        """The data besides those ``observed``, by name."""
        return {}

    def with_data(self, data: Any) -> tuple["Density", Any]:
        """The density of other data, and these as arrays.

        Raises:
            InputError: for data that no density can use; see `jaxlatent.data.as_data`.
        """
        return self, as_data(data)

    def log_likelihood(self, params: Mapping[str, Array], data: Any) -> dict[str, Array]:
        """Pointwise log likelihood by observation; empty where the density does not know it."""
        return {}

    def sample_observed(self, key: Key, params: Mapping[str, Array], data: Any) -> dict[str, Array]:
        """One predictive draw by observation; empty where the density does not know how."""
        return {}

    def log_densities(self, position: Position, data: Any, guides: Guides) -> dict[str, Array]:
        """The terms of `log_density` by the name of the parameter or observation they belong to, for messages."""
        return {"the log density": self.log_density(position, data, guides)}

    def initial_position(self, key: Key, data: Any, guides: Guides) -> Position:
        """Where a lane starts."""
        return jax.random.uniform(key, (self.dim,), minval=-2.0, maxval=2.0)

    def log_prior(self, params: Params, data: Any) -> Array:
        """The log prior density of named values, a scalar; zero where the density does not tell prior from likelihood."""
        return jnp.zeros(())

    def expect(self, params: Params, data: Any, how: EStep, key: Key, draws: int) -> dict[str, Expected]:
        """Expected counts of what is hidden, by observation; empty where the density does not know its observations."""
        return {}

    def expected_log_joint(self, params: Params, data: Any, expected: Mapping[str, Expected]) -> Array:
        """What an M-step of EM raises, a scalar."""
        raise NotImplementedError

    def raise_params(self, params: Params, data: Any, expected: Mapping[str, Expected]) -> Params | None:
        """The M-step in closed form; None where there is none."""
        return None


@partial(jax.tree_util.register_dataclass, data_fields=["index"], meta_fields=["names"])
@dataclass(frozen=True)
class Datasets:
    """The datasets of a batched posterior.

    Args:
        names: static.
        index: ``(dataset,)``. It is mapped over as the data are, so one dataset of a batch is told from all of them.
    """

    names: tuple[Any, ...]
    index: Array


@partial(jax.tree_util.register_dataclass, data_fields=["data", "guides", "datasets"], meta_fields=["density"])
@dataclass(frozen=True)
class Posterior:
    """A log density over flat positions, with its data as leaves; or a batch of them, to be mapped over.

    Args:
        density: the static part.
        data: a pytree of arrays.
        guides: what the data say about each `jaxlatent.informed` effect, by name; moves coordinates only.
        datasets: of a batch: data and guides lead with ``dataset``. None for one dataset.
    """

    density: Density
    data: PyTree
    guides: dict[str, Guide] = field(default_factory=dict)
    datasets: Datasets | None = None

    @property
    def dim(self) -> int:
        """The length of a position."""
        return self.density.dim

    @property
    def names(self) -> tuple[Any, ...] | None:
        """Names of the datasets of a batch; None for one dataset, one that was taken from a batch included."""
        return self.datasets.names if self.datasets is not None and self.datasets.index.shape else None

    @property
    def nameless(self) -> "Posterior":
        """The same without names of datasets, which would key compiled programs."""
        return replace(self, datasets=None)

    def log_density(self, position: Position, jacobian: bool = True) -> Array:
        """The log density at a position ``(dim,)``, up to a constant.

        Args:
            position: ``(dim,)``.
            jacobian: True: the density of the position, which samplers need. False: the density of the named, constrained values,
                whose maximum does not depend on the coordinates (centring included).

        Raises:
            InputError: for a batch, as every method does.
        """
        self._require_one("log_density")
        return self.density.log_density(position, self.data, self.guides, jacobian)

    def constrain(self, position: Position) -> Params:
        """The named, constrained values at a position ``(dim,)``."""
        self._require_one("constrain")
        return self.density.constrain(position, self.data, self.guides)

    def unconstrain(self, params: Mapping[str, Any]) -> Position:
        """The position ``(dim,)`` of named, constrained values."""
        self._require_one("unconstrain")
        return self.density.unconstrain(params, self.data, self.guides)

    def initial_position(self, key: Key) -> Position:
        """A start: the model's own, or uniform(-2, 2) in each unconstrained coordinate (as Stan does)."""
        self._require_one("initial_position")
        return self.density.initial_position(key, self.data, self.guides)

    def _require_one(self, what: str) -> None:
        # The log density of stacked data would be that of all datasets pooled.
        if self.names is not None:
            raise InputError(
                f"posterior.{what}(...)",
                got=f"a batch of {len(self.names)} datasets",
                expected="one dataset",
                remedy=f"map over the batch, as in jax.vmap(lambda posterior, x: posterior.{what}(x))(posterior, xs).",
            )


def batched(
    density: Density, data: PyTree, names: tuple[Any, ...], guides: Mapping[str, Guide] | None = None
) -> Posterior:
    """The posterior of a batch: ``data`` and ``guides`` lead with ``dataset``."""
    return Posterior(density, data, dict(guides or {}), Datasets(names, jnp.arange(len(names))))


class Site(NamedTuple):
    """One parameter's place in the position; ``informed`` if its coordinates wait for what the data say about it."""

    name: str
    shape: tuple[int, ...]
    unconstrained: tuple[int, ...]
    start: int
    stop: int
    informed: bool


@dataclass(frozen=True)
class ModelDensity(Density):
    """The density of a `Model` for data of given shapes.

    Args:
        model: the declaration.
        sites: where each parameter stands in the position, in the order of the declaration.
    """

    model: Model
    sites: tuple[Site, ...]

    @property
    def dim(self) -> int:
        """The length of a position."""
        return self.sites[-1].stop

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The parameters, in the order of the declaration."""
        return tuple(site.name for site in self.sites)

    def log_density(self, position: Position, data: Data, guides: Guides, jacobian: bool = True) -> Array:
        """Log prior, of the position or without ``jacobian`` of the values, plus log likelihood."""
        params, log_density = self._walk(position, data, guides, jacobian)
        for term in self.model.log_likelihood(params, data).values():
            log_density = log_density + jnp.sum(term)
        return log_density

    def constrain(self, position: Position, data: Data, guides: Guides) -> Params:
        """The named values at ``position``."""
        return self._walk(position, data, guides)[0]

    def unconstrain(self, params: Mapping[str, Any], data: Data, guides: Guides) -> Position:
        """The position of named values."""
        values: Params = {}
        pieces = []
        for site in self.sites:
            value = jnp.asarray(params[site.name])
            prior = self.model.prior_of(site.name, values, data)
            pieces.append(jnp.ravel(unconstrain(prior, value, guides.get(site.name))))
            values[site.name] = value
        return jnp.concatenate(pieces)

    @property
    def label(self) -> str:
        """The name of the model."""
        return self.model.name

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of dimensions, as the model declares them."""
        return self.model.dims

    def derived(self, params: Mapping[str, Array], data: Data) -> dict[str, Array]:
        """The model's derived quantities."""
        return self.model.deterministic(params, data)

    def observed(self, params: Mapping[str, Array], data: Data) -> dict[str, Distribution]:
        """The distribution of every observation."""
        return self.model.observed(params, data)

    def observation(self, name: str, params: Mapping[str, Array], data: Data) -> Any:
        """The entry of the data under that name."""
        return data.get(name)

    def covariates(self, data: Data, observed: Collection[str]) -> dict[str, Any]:
        """The other entries of the data."""
        return {name: value for name, value in data.items() if name not in observed}

    def log_likelihood(self, params: Mapping[str, Array], data: Data) -> dict[str, Array]:
        """Pointwise log likelihood by observation."""
        return self.model.log_likelihood(params, data)

    def sample_observed(self, key: Key, params: Mapping[str, Array], data: Data) -> dict[str, Array]:
        """One predictive draw by observation."""
        return self.model.sample_observed(key, params, data)

    def log_densities(self, position: Position, data: Data, guides: Guides) -> dict[str, Array]:
        """The terms of `log_density` by the name of the parameter or observation they belong to, for messages."""
        params: Params = {}
        terms: dict[str, Array] = {}
        for site in self.sites:
            params[site.name], terms[f"prior of {site.name!r}"] = self._site(site, position, params, data, guides)
        for name, term in self.model.log_likelihood(params, data).items():
            terms[f"likelihood of {name!r}"] = jnp.sum(term)
        return terms

    def initial_position(self, key: Key, data: Data, guides: Guides) -> Position:
        """Where the model starts, or uniform(-2, 2)."""
        params = self.model.starting_params(key, data)
        return super().initial_position(key, data, guides) if params is None else self.unconstrain(params, data, guides)

    def log_prior(self, params: Params, data: Data) -> Array:
        """The log prior density of named values."""
        return self.model.log_prior(params, data)

    def expect(self, params: Params, data: Data, how: EStep, key: Key, draws: int) -> dict[str, Expected]:
        """Expected counts of what is hidden, by observation."""
        return self.model.expect(params, data, how, key, draws)

    def expected_log_joint(self, params: Params, data: Data, expected: Mapping[str, Expected]) -> Array:
        """Log prior plus expected complete log likelihood."""
        return self.model.expected_log_joint(params, data, expected)

    def raise_params(self, params: Params, data: Data, expected: Mapping[str, Expected]) -> Params | None:
        """The M-step in closed form, if the model has one."""
        return self.model.raise_params(params, data, expected)

    def _walk(self, position: Position, data: Data, guides: Guides, jacobian: bool = True) -> tuple[Params, Array]:
        params: Params = {}
        log_density = jnp.zeros((), position.dtype)
        for site in self.sites:
            params[site.name], term = self._site(site, position, params, data, guides, jacobian)
            log_density = log_density + term
        return params, log_density

    def _site(
        self, site: Site, position: Position, params: Params, data: Data, guides: Guides, jacobian: bool = True
    ) -> tuple[Array, Array]:
        z = position[site.start : site.stop].reshape(site.unconstrained)
        prior = self.model.prior_of(site.name, params, data)
        value, log_density = constrain(prior, z, guides.get(site.name))
        return value, log_density if jacobian else jnp.sum(prior.log_prob(value))


def require_continuous(name: str, prior: Distribution) -> None:
    """Raise `InputError` for a discrete prior: it has no place in a position."""
    if prior.support is not None and prior.support.is_discrete:
        raise InputError(
            f"the prior of {name!r}",
            got=f"{type(family_of(prior)).__name__}, which is discrete",
            expected="a continuous distribution",
            remedy="sum the parameter out inside the likelihood, for example with numpyro.distributions.MixtureSameFamily.",
        )


def layout(model: Model, data: Data) -> tuple[Site, ...]:
    """Where each parameter of ``model`` stands in a position, found from shapes alone."""
    return _layout(model, shapes_of(data))


@lru_cache(maxsize=256)
def _layout(model: Model, shapes: tuple[tuple[str, Any], ...]) -> tuple[Site, ...]:
    sites: list[Site] = []

    def walk(data):
        params: Params = {}
        start = 0
        for name in model.prior:
            d = model.prior_of(name, params, data)
            require_continuous(name, d)
            params[name] = jnp.zeros(d.shape())
            shape = unconstrained_shape(d)
            sites.append(Site(name, d.shape(), shape, start, start + size(shape), isinstance(d, Informed)))
            start = sites[-1].stop

    with tracing_for():
        jax.eval_shape(walk, dict(shapes))
    return tuple(sites)
