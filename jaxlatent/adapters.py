"""Posteriors from elsewhere: a bare log density or a NumPyro model. Every engine accepts them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from numpyro.distributions import biject_to, constraints

from jaxlatent.coordinates import size
from jaxlatent.data import as_data
from jaxlatent.errors import InputError, did_you_mean
from jaxlatent.posterior import Density, Guides, Posterior
from jaxlatent.typing import Array, Key, Params, Position, PyTree


@dataclass(frozen=True)
class FunctionDensity(Density):
    """The density of a bare function of named, constrained values.

    Args:
        function: ``params, *args -> log density``.
        names: of the parameters, in the order of the position.
        shapes: constrained, by parameter.
        bijectors: from unconstrained to constrained, by parameter.
        bare: the template was one array, not a dict: ``function`` takes the array itself.
    """

    function: Callable[..., Array]
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    supports: tuple[Any, ...]
    bare: bool

    @property
    def dim(self) -> int:
        """The length of a position."""
        return sum(size(shape) for shape in self._unconstrained_shapes)

    @property
    def _unconstrained_shapes(self) -> list[tuple[int, ...]]:
        return [
            biject_to(support).inverse_shape(shape) for support, shape in zip(self.supports, self.shapes, strict=True)
        ]

    def log_density(self, position: Position, data: Any, guides: Guides, jacobian: bool = True) -> Array:
        """The function at the constrained values, plus the Jacobian if asked for."""
        params, log_det = self._walk(position)
        value = self.function(params["position"] if self.bare else params, *data)
        return value + log_det if jacobian else value

    def constrain(self, position: Position, data: Any, guides: Guides) -> Params:
        """The named values at ``position``."""
        return self._walk(position)[0]

    def unconstrain(self, params: Mapping[str, Any], data: Any, guides: Guides) -> Position:
        """The position of named values."""
        pieces = [
            biject_to(support).inv(jnp.asarray(params[name]))
            for name, support in zip(self.names, self.supports, strict=True)
        ]
        return jnp.concatenate([jnp.ravel(piece) for piece in pieces])

    def _walk(self, position: Position) -> tuple[Params, Array]:
        params: Params = {}
        log_det = jnp.zeros((), position.dtype)
        start = 0
        for name, support, shape in zip(self.names, self.supports, self._unconstrained_shapes, strict=True):
            bijector = biject_to(support)
            z = position[start : start + size(shape)].reshape(shape)
            params[name] = bijector(z)
            log_det = log_det + jnp.sum(bijector.log_abs_det_jacobian(z, params[name]))
            start += size(shape)
        return params, log_det


def from_log_density(
    fn: Callable[..., Array], template: PyTree, support: Mapping[str, Any] | None = None, args: tuple[Any, ...] = ()
) -> Posterior:
    """A posterior from a bare log density, for every engine.

    Args:
        fn: ``params, *args -> log density`` (a scalar, up to a constant). ``params`` has the structure of ``template``.
        template: a dict of name to array (or of shapes as `jax.ShapeDtypeStruct`), or one array; only shapes are read.
        support: by name, the NumPyro constraint of a parameter that does not live on the real line.
        args: arrays that ``fn`` needs besides the parameters: traced, so other values of the same shapes compile nothing.

    Raises:
        InputError: if ``support`` names a parameter that ``template`` lacks, or the log density is no scalar.
    """
    bare = not isinstance(template, Mapping)
    named = {"position": template} if bare else dict(template)
    support = dict(support or {})
    for name in support:
        if name not in named:
            raise InputError(
                "from_log_density(support=...)",
                got=f"a support for {name!r}",
                expected=f"only names of the template: {list(named)}",
                remedy=did_you_mean(name, named),
            )
    density = FunctionDensity(
        fn,
        tuple(named),
        tuple(tuple(jnp.shape(value)) for value in named.values()),
        tuple(support.get(name, constraints.real) for name in named),
        bare,
    )
    args = tuple(jax.tree.map(jnp.asarray, arg) for arg in args)
    out = jax.eval_shape(density.log_density, jax.ShapeDtypeStruct((density.dim,), jnp.result_type(float)), args, {})
    if out.shape != ():
        raise InputError(
            "from_log_density(fn, ...)",
            got=f"an array of shape {out.shape}",
            expected="a scalar log density",
            remedy="sum over observations inside fn.",
        )
    return Posterior(density, args)


@dataclass(frozen=True)
class NumPyroDensity(Density):
    """The density of a NumPyro model without discrete latent sites.

    Args:
        fn: the model function.
        names: of its latent sites, sorted as NumPyro ravels them.
        shapes: unconstrained, by site.
        static: keyword arguments that are not arrays, as sorted pairs.
    """

    fn: Callable[..., Any]
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    static: tuple[tuple[str, Any], ...]

    @property
    def dim(self) -> int:
        """The length of a position."""
        return sum(size(shape) for shape in self.shapes)

    def log_density(self, position: Position, data: Any, guides: Guides, jacobian: bool = True) -> Array:
        """Minus NumPyro's potential energy; without ``jacobian`` NumPyro's joint log density of the latent sites."""
        from numpyro.infer.util import log_density, potential_energy

        args, kwargs = data
        keywords = {**kwargs, **dict(self.static)}
        if jacobian:
            return -potential_energy(self.fn, args, keywords, self._unravel(position))
        return log_density(self.fn, args, keywords, self.constrain(position, data, guides))[0]

    def constrain(self, position: Position, data: Any, guides: Guides) -> Params:
        """The latent sites at ``position``."""
        values = self._sites(position, data, deterministic=False)
        return {name: values[name] for name in self.names}

    def derived(self, params: Mapping[str, Array], data: Any) -> dict[str, Array]:
        """The deterministic sites."""
        from numpyro import handlers

        args, kwargs = data
        seeded = handlers.seed(handlers.substitute(self.fn, data=dict(params)), jax.random.key(0))
        trace = handlers.trace(seeded).get_trace(*args, **kwargs, **dict(self.static))
        return {name: site["value"] for name, site in trace.items() if site["type"] == "deterministic"}

    def unconstrain(self, params: Mapping[str, Any], data: Any, guides: Guides) -> Position:
        """The position of named values."""
        from numpyro.infer.util import unconstrain_fn

        args, kwargs = data
        values = {name: jnp.asarray(params[name]) for name in self.names}
        z = unconstrain_fn(self.fn, args, {**kwargs, **dict(self.static)}, values)
        return ravel_pytree({name: z[name] for name in self.names})[0]

    def log_likelihood(self, params: Mapping[str, Array], data: Any) -> dict[str, Array]:
        """Pointwise log likelihood of the observed sites."""
        from numpyro.infer.util import log_likelihood

        args, kwargs = data
        return log_likelihood(self.fn, dict(params), *args, batch_ndims=0, **kwargs, **dict(self.static))

    def sample_observed(self, key: Key, params: Mapping[str, Array], data: Any) -> dict[str, Array]:
        """One draw of every site that the model observes."""
        from numpyro import handlers

        args, kwargs = data
        free = handlers.seed(handlers.substitute(handlers.uncondition(self.fn), data=dict(params)), key)
        trace = handlers.trace(free).get_trace(*args, **kwargs, **dict(self.static))
        return {
            name: site["value"]
            for name, site in trace.items()
            if site["type"] == "sample" and site["infer"].get("was_observed", False)
        }

    def _unravel(self, position: Position) -> dict[str, Array]:
        values, start = {}, 0
        for name, shape in zip(self.names, self.shapes, strict=True):
            values[name] = position[start : start + size(shape)].reshape(shape)
            start += size(shape)
        return values

    def _sites(self, position: Position, data: Any, deterministic: bool) -> dict[str, Array]:
        from numpyro.infer.util import constrain_fn

        args, kwargs = data
        keywords = {**kwargs, **dict(self.static)}
        return constrain_fn(self.fn, args, keywords, self._unravel(position), return_deterministic=deterministic)


def from_numpyro(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Posterior:
    """The posterior of a NumPyro model, for every engine.

    Array arguments are traced (a second call with other values of the same shapes compiles nothing); other keyword arguments
    (numbers of components, flags, None) are static.

    Args:
        fn: a NumPyro model without discrete latent sites.
        *args: its positional arguments, arrays.
        **kwargs: its keyword arguments.
    """
    from numpyro.infer.util import initialize_model

    static = {name: value for name, value in kwargs.items() if not hasattr(value, "shape")}
    arrays = as_data({name: value for name, value in kwargs.items() if name not in static})
    positional = tuple(as_data({str(i): jnp.asarray(arg) for i, arg in enumerate(args)}).values())
    _check_continuous(fn, positional, {**arrays, **static})
    info = initialize_model(jax.random.key(0), fn, model_args=positional, model_kwargs={**arrays, **static})
    latent = dict(sorted(info.param_info.z.items()))
    density = NumPyroDensity(
        fn, tuple(latent), tuple(jnp.shape(z) for z in latent.values()), tuple(sorted(static.items()))
    )
    return Posterior(density, (positional, arrays))


def _check_continuous(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Raise `InputError` for the first latent site of a NumPyro model that is discrete."""
    from numpyro import handlers
    from numpyro.infer import init_to_uniform

    started = handlers.substitute(handlers.seed(fn, jax.random.key(0)), substitute_fn=init_to_uniform)
    for name, site in handlers.trace(started).get_trace(*args, **kwargs).items():
        if site["type"] == "sample" and not site["is_observed"] and site["fn"].support.is_discrete:
            raise InputError(
                f"the latent site {name!r}",
                got=f"{type(site['fn']).__name__}, which is discrete",
                expected="continuous latent sites",
                remedy="sum it out inside the model, for example with numpyro.distributions.MixtureSameFamily.",
            )
