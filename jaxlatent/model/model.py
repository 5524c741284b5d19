"""`Model`: named priors and a likelihood, as pure functions that hold no data.

The declaration gives the log prior, the pointwise log likelihood, prior and posterior predictive draws, supports, shapes and the
graph. Everything here is written for one dataset and one value of the parameters, and mapped by `jax.vmap`.
"""

import inspect
import math
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxlatent._compat.binomial import draw
from jaxlatent._compat.tracing import tracing_for
from jaxlatent.data.arrays import as_namespace, blamed, shapes_of, split
from jaxlatent.data.namespace import Namespace, missing_data
from jaxlatent.distributions.centring import Informed, family_of
from jaxlatent.distributions.factor import Factor
from jaxlatent.distributions.masking import masked_log_prob
from jaxlatent.errors import InputError, require
from jaxlatent.graph import Graph, graph_of
from jaxlatent.latent import Expected
from jaxlatent.model.coordinates import unconstrained_shape
from jaxlatent.model.expansion import expand_to
from jaxlatent.model.pickling import ByValue
from jaxlatent.model.shapes import Shapes, Site, check_observed, require_continuous
from jaxlatent.typing import Array, ArrayLike, Data, Key, Params

Prior: TypeAlias = dist.Distribution | Callable[..., dist.Distribution]
Likelihood = Callable[[Namespace, Namespace], Mapping[str, dist.Distribution]]
Derived = Callable[[Namespace, Namespace], Mapping[str, Array]]

_PRIOR_REMEDY = "check names and lengths of the data, and the expression itself; a prior reads the parameters that are declared before it."


@dataclass(frozen=True, eq=False)
class Model(ByValue):
    """A Bayesian model: priors in order, a likelihood, and derived quantities.

    Args:
        prior: by name and in order, NumPyro distributions or callables ``p -> distribution`` or ``p, d -> distribution`` of the
            earlier parameters (``p.name``) and the data (``d.name``).
        likelihood: ``p, d -> {observation: distribution}``; each name is looked up in the data. A distribution that broadcasts to its
            observation is expanded to it. `jaxlatent.Factor` terms need no entry in the data.
        derived: optional ``p, d -> {name: array}``, kept with the draws; the likelihood may read them as ``p.name``, so that what it
            needs and you want to see is written once.
        dims: optional names of the dimensions of parameters, derived quantities and observations, for ArviZ.
        coords: optional labels by dimension, for ArviZ; data of `jaxlatent.table` and `jaxlatent.sequences` carry their own.
        start: optional ``key, d -> {parameter: value}``: where lanes start, instead of uniform(-2, 2) in unconstrained space.
        m_step: optional closed form of the M-step of EM: by parameter (or tuple of parameters updated together), in order,
            ``p, d, expected -> value``, where ``p`` holds the values updated so far and ``expected`` the `jaxlatent.latent.Expected`
            counts by observation. Each maximises the expected complete log joint given all other parameters.
        adjustment: optional ``p, d, expected -> scalar``, added to the log joint that EM maximises: what Laplace's approximation adds
            where an M-step integrates over some of the parameters, at their mode, instead of maximising over them.
        softmax: optional axis of parameters that are logits of a softmax, counted from the end and negative: a common shift along it
            changes nothing, so that one of its entries is not free. Information criteria count the others.
        row_wise: whether masked rows (for sequences: steps) appended to the data change nothing, so that fits to 100 and to 101 rows
            can share compiled programs. None: `jaxlatent.fit` tests it, and does not pad models with an ``m_step``.
        name: in figures and tables.
        key: two models with equal keys are equal and share compiled programs. Families set it to their name and arguments;
            a model without a key compares by identity.
    """

    prior: Mapping[str, Prior]
    likelihood: Likelihood | None = None
    derived: Derived | None = None
    dims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    coords: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    start: Callable[[Key, Namespace], Mapping[str, Array]] | None = None
    m_step: Mapping[Any, Callable[[Namespace, Namespace, Mapping[str, Expected]], Any]] | None = None
    adjustment: Callable[[Namespace, Namespace, Mapping[str, Expected]], Array] | None = None
    row_wise: bool | None = None
    name: str = "model"
    key: Hashable = None
    softmax: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.prior, Mapping):
            raise InputError(
                "Model(prior=...)",
                got=f"a {type(self.prior).__name__}",
                expected="a mapping of names to priors",
                remedy="write {'mu': dist.Normal(0.0, 1.0)}; a prior that reads other parameters is a callable under its own name.",
            )
        if not self.prior:
            raise InputError("Model(prior=...)", got="no prior", expected="at least one named prior", remedy="add one.")
        for name, prior in self.prior.items():
            if not isinstance(prior, dist.Distribution) and not callable(prior):
                raise InputError(
                    f"the prior of {name!r}",
                    got=type(prior).__name__,
                    expected="a numpyro distribution or a callable that returns one",
                    remedy="wrap a fixed number with numpyro.distributions.Delta, or close over it in the likelihood.",
                )
        for name, axis in self.softmax.items():
            require(
                name in self.prior and axis < 0,
                "Model(softmax=...)",
                got={name: axis},
                expected=f"a parameter among {list(self.prior)} and a negative axis of it",
                remedy="count from the end, as in {'logits': -1}.",
            )

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Model) or self.key is None:
            return False
        # Results take the labels from the model that was compiled first, if two are equal.
        mine, theirs = ({dim: list(values) for dim, values in model.coords.items()} for model in (self, other))
        same: bool = (self.key, self.row_wise, self.dims, mine) == (other.key, other.row_wise, other.dims, theirs)
        return same

    def __hash__(self) -> int:
        return id(self) if self.key is None else hash(self.key)

    def prior_of(self, name: str, params: Mapping[str, ArrayLike], data: Data) -> dist.Distribution:
        """The prior distribution of one parameter, given the earlier ones."""
        prior = self.prior[name]
        if isinstance(prior, dist.Distribution):
            return prior
        arguments = (Namespace("earlier parameter", params), as_namespace(data))
        d = prior(*arguments[: _arity(prior)])
        if not isinstance(d, dist.Distribution):
            raise InputError(
                f"the prior of {name!r}",
                got=type(d).__name__,
                expected="a callable that returns a numpyro distribution",
                remedy="return the distribution itself.",
            )
        return d

    def observed(self, params: Mapping[str, ArrayLike], data: Data) -> dict[str, dist.Distribution]:
        """The distribution of every observation at one value of the parameters, expanded to the observation if the data hold it."""
        if self.likelihood is None:
            return {}
        values = as_namespace(data)
        derived = None if self.derived is None else partial(self.deterministic, params, values)
        observed = self.likelihood(Namespace("parameter", params, further=derived), values)
        if not isinstance(observed, Mapping):
            raise InputError(
                "the likelihood",
                got=f"a function that returns {type(observed).__name__}",
                expected="a dict of observation to distribution",
                remedy='name the observation, as in {"y": dist.Normal(p.mu, p.sigma)}; nothing is sampled there.',
            )
        observed = dict(observed)
        for name, d in observed.items():
            if isinstance(d, dist.Distribution) and name in values:
                observed[name] = expand_to(d, jnp.shape(values[name]))
        return observed

    def deterministic(self, params: Mapping[str, ArrayLike], data: Data) -> dict[str, Array]:
        """The derived quantities at one value of the parameters."""
        if self.derived is None:
            return {}
        values = self.derived(Namespace("parameter", params), as_namespace(data))
        return {name: jnp.asarray(value) for name, value in values.items()}

    def shapes(self, data: Data) -> Shapes:
        """The shapes of parameters, derived quantities and observations, found by abstract evaluation.

        Raises:
            InputError: naming the prior, observation or function that does not fit the data, or the observation that these lack.
        """
        return _shapes(self, shapes_of(data))

    def log_prior(self, params: Mapping[str, ArrayLike], data: Data | None = None) -> Array:
        """The log prior density of constrained values, a scalar (no Jacobian)."""
        data = data or {}
        terms = [jnp.sum(self.prior_of(name, params, data).log_prob(params[name])) for name in self.prior]
        return sum(terms[1:], terms[0])

    def log_likelihood(self, params: Mapping[str, ArrayLike], data: Data) -> dict[str, Array]:
        """The log likelihood of every observation, each of the batch shape of its distribution; zero where masked."""
        return {name: masked_log_prob(d, *split(data.get(name))) for name, d in self.observed(params, data).items()}

    def starting_params(self, key: Key, data: Data) -> Params | None:
        """Starting values of a lane; None if the model has no ``start``."""
        return None if self.start is None else dict(self.start(key, as_namespace(data)))

    def sample_prior(self, key: Key, data: Data | None = None) -> Params:
        """One draw of all parameters from the prior.

        Raises:
            InputError: if a prior is improper.
        """
        data = data or {}
        params: Params = {}
        for i, name in enumerate(self.prior):
            d = self.prior_of(name, params, data)
            try:
                params[name] = d.sample(jax.random.fold_in(key, i))
            except NotImplementedError:
                raise InputError(
                    f"prior draws of {name!r}",
                    got=f"{type(d).__name__}, which cannot be drawn from",
                    expected="a proper prior",
                    remedy="give it a proper prior, or fit without prior draws (positions start from uniform(-2, 2)).",
                ) from None
        return params

    def sample(
        self, size: int | Sequence[int] | Data, seed: int | Key, params: Mapping[str, ArrayLike]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Simulate observations at one value of the parameters, together with the hidden states or labels behind them.

        Draws of censored observations are uncensored, of which a warning tells.

        As in ``data, states = model.sample(1000, seed=0, params=result.best().params)``; ``data`` is what `jaxlatent.fit` takes, and
        ``states["y"]`` the path or the labels of ``data["y"]``.

        Args:
            size: a number of rows, or of the steps of one sequence; a list of numbers, the lengths of several sequences; or for a model
                that reads covariates these, ``{"x": x}``, which say how many there are. Of observations among them, as in the data of a
                fit, only shapes and masks are used.
            seed: required, an int or a typed JAX key.
            params: a value for every parameter, such as ``result.best().params``.

        Returns:
            `jaxlatent.results.simulation.Simulated`: ``data``, what was given and the observations, by name; and ``states``, integers by
            observation, with none for observations without hidden states. NumPy arrays, lists of them for lists of sequences of unequal
            length, and `jaxlatent.Masked` where the data are, with states of -1.

        Raises:
            InputError: for parameters of other names or shapes or outside their support, for missing covariates, and for models whose
                observations depend on each other, such as autoregressions.
        """
        # Lazy import, from a room below: a result is what is checked and drawn so.
        from jaxlatent.results.simulation import simulate

        return simulate(self, size, seed, params)

    def sample_observed(self, key: Key, params: Mapping[str, ArrayLike], data: Data) -> dict[str, Array]:
        """One draw of every observation at one value of the parameters; ``data`` needs the covariates only.

        It has the shape of the observation if the data hold it, otherwise that of the distribution. An observation that others depend on,
        and that the data lack, is drawn first.
        """
        drawn: dict[str, Array] = {}
        given = {**data, **self.mediators(params, data)}
        # One more pass for each mediator that a mediator depends on; the keys are those of the names, so that earlier draws stay.
        for _ in range(1 + len(given) - len(data)):
            drawn = {
                name: draw(d, family_of(d), jax.random.fold_in(key, i))
                for i, (name, d) in enumerate(self.observed(params, given).items())
                if not isinstance(d, Factor)
            }
            given = {**given, **{name: value for name, value in drawn.items() if name not in data}}
        return drawn

    def mediators(self, params: Mapping[str, ArrayLike], data: Data) -> dict[str, Array]:
        """Placeholders, zeros, of the observations that the likelihood reads for others and that ``data`` lack."""
        found: dict[str, Array] = {}
        lacking: Exception | None = None
        while True:
            try:
                observed = self.observed(params, {**data, **found})
                break
            except Exception as error:
                lacking, name = lacking or error, missing_data(error)
                if name is None or name in found:
                    raise lacking from None
                found[name] = jnp.zeros(())
        if lacking is not None and not set(found) <= set(observed):
            raise lacking
        return found

    def _repr_html_(self) -> str:
        from jaxlatent.pages.notebook import model_html

        return model_html(self)

    def graph(self, data: Data | None = None) -> Graph:
        """The graph of parameters, derived quantities, observations and plates; displayed in notebooks, or as Mermaid or Graphviz text.

        Edges are found by tracing: whatever depends on a parameter has an edge from it. A derived quantity is below the parameters it is
        computed from.

        Args:
            data: covariates, and the observations that determine shapes.

        Raises:
            InputError: if the data lack what the model reads, or cannot be used.
        """
        return graph_of(self, data)


@lru_cache(maxsize=256)
def _shapes(model: Model, described: tuple[tuple[str, Any], ...]) -> Shapes:
    """`Model.shapes`, cached, since tracing a model takes longer than a small fit."""
    sites: list[Site] = []
    named: dict[str, tuple[int, ...]] = {}

    def walk(data: Data) -> None:
        params: Params = {}
        start = 0
        for name in model.prior:
            d = blamed(f"the prior of {name!r}", partial(model.prior_of, name, params, data), data, _PRIOR_REMEDY)
            require_continuous(name, d)
            params[name] = jnp.zeros(d.shape())
            shape = unconstrained_shape(d)
            sites.append(Site(name, d.shape(), shape, start, start + math.prod(shape), isinstance(d, Informed)))
            start = sites[-1].stop
        observed = blamed("the likelihood", lambda: model.observed(params, data), data)
        derived = blamed("the derived quantities", lambda: model.deterministic(params, data), data)
        check_observed(observed, data)
        _check_different(params, derived, observed)
        arrays = {name: value.shape for name, value in {**params, **derived}.items()}
        named.update({**arrays, **{name: d.shape() for name, d in observed.items()}})

    with tracing_for():
        jax.eval_shape(walk, dict(described))
    return Shapes(tuple(sites), named)


def _check_different(params: Collection[str], derived: Collection[str], observed: Collection[str]) -> None:
    """Raise `InputError` for a name with two meanings, of which results could hold one."""
    for name in (*derived, *observed):
        if name in params or (name in derived and name in observed):
            raise InputError(
                f"the names of a model: {name!r}",
                got=f"{'a parameter' if name in params else 'a derived quantity'} and "
                f"{'a derived quantity' if name in derived and name in params else 'an observation'} of one name",
                expected="different names for parameters, derived quantities and observations",
                remedy="rename one of them.",
            )


def apply_m_step(m_step: Mapping[Any, Callable[..., Any]], params: Params, data: Namespace, expected: Any) -> Params:
    """Apply the updates of an M-step in order, each given the values updated so far; see `Model`."""
    params = dict(params)
    for names, update in m_step.items():
        updated = update(Namespace("parameter", params), data, expected)
        params.update(zip(names, updated, strict=True) if isinstance(names, tuple) else {names: updated})
    return params


def _arity(prior: Callable[..., Any]) -> int:
    """How many of (params, data) the callable of a prior takes."""
    parameters = inspect.signature(prior).parameters.values()
    positional = [
        p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    return min(len(positional), 2)
