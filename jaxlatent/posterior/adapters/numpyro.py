"""`from_numpyro`: the posterior of a NumPyro model."""

import inspect
import math
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.flatten_util import ravel_pytree

from jaxlatent.data.arrays import Masked, as_data, blamed
from jaxlatent.data.batches import Batch
from jaxlatent.errors import InputError
from jaxlatent.model.expansion import expand_to
from jaxlatent.model.pickling import ByValue
from jaxlatent.model.shapes import require_codes
from jaxlatent.posterior.density import Density, Guides
from jaxlatent.posterior.posterior import Posterior, batched
from jaxlatent.typing import AnyArray, Array, Data, Key, Params, Position

Sites = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class NumPyroDensity(ByValue, Density):
    """The density of a NumPyro model without discrete latent sites.

    Its data are the array arguments of the model, by name.

    Args:
        fn: the model function.
        names: of its latent sites, sorted as NumPyro ravels them.
        shapes: unconstrained, by site.
        sites: names of the observed sites.
        outcomes: names of the arguments that are the value of an observed site.
        static: arguments that are not arrays, as sorted pairs.
        positional: names of the positional arguments, in order.
        required: names of the arguments without a default.
        plates: pairs of a site and the names of the dimensions of its values.
    """

    fn: Callable[..., Any]
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    sites: tuple[str, ...]
    outcomes: tuple[str, ...]
    static: tuple[tuple[str, Any], ...]
    positional: tuple[str, ...]
    required: tuple[str, ...]
    plates: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def dim(self) -> int:
        """The length of a position."""
        return sum(math.prod(shape) for shape in self.shapes)

    @property
    def label(self) -> str:
        """The name of the function."""
        return getattr(self.fn, "__name__", "posterior")

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the plates of latent, observed and deterministic sites."""
        return dict(self.plates)

    def log_density(self, position: Position, data: Data, guides: Guides, jacobian: bool = True) -> Array:
        """Minus NumPyro's potential energy; without ``jacobian`` NumPyro's joint log density of the latent sites."""
        from numpyro.infer.util import log_density, potential_energy

        args, keywords = self._arguments(data)
        density: Array
        if jacobian:
            density = -potential_energy(self.fn, args, keywords, self._unravel(position))
        else:
            density, _ = log_density(self.fn, args, keywords, self.constrain(position, data, guides))
        return density

    def constrain(self, position: Position, data: Data, guides: Guides) -> Params:
        """The latent sites at ``position``."""
        from numpyro.infer.util import constrain_fn

        args, keywords = self._arguments(data)
        values = constrain_fn(self.fn, args, keywords, self._unravel(position))
        return {name: values[name] for name in self.names}

    def unconstrain(self, params: Mapping[str, Any], data: Data, guides: Guides) -> Position:
        """The position of named values."""
        from numpyro.infer.util import unconstrain_fn

        args, keywords = self._arguments(data)
        z = unconstrain_fn(self.fn, args, keywords, {name: jnp.asarray(params[name]) for name in self.names})
        return ravel_pytree({name: z[name] for name in self.names})[0]

    def derived(self, params: Mapping[str, AnyArray], data: Data) -> dict[str, Array]:
        """The deterministic sites."""
        trace = self._trace(params, data)
        return {name: site["value"] for name, site in trace.items() if site["type"] == "deterministic"}

    def observed(self, params: Mapping[str, AnyArray], data: Data) -> dict[str, dist.Distribution]:
        """The distribution of every site that is observed or to be predicted."""
        trace = self._trace(params, data)
        return {name: _expanded(*_unmasked(trace[name])[:2]) for name in self.sites if name in trace}

    def observation(self, name: str, params: Mapping[str, AnyArray], data: Data) -> Any:
        """The observed value of a site, `Masked` where the model masks it; None where it is to be predicted."""
        site = self._trace(params, data)[name]
        d, value, mask = _unmasked(site)
        if not site["is_observed"]:
            return None
        return value if mask is None else Masked(value, jnp.broadcast_to(mask, _expanded(d, value).batch_shape))

    def covariates(self, data: Data, observed: Collection[str]) -> dict[str, Any]:
        """The arguments that are not the value of an observed site."""
        return {name: value for name, value in data.items() if name not in self.outcomes}

    def log_likelihood(self, params: Mapping[str, AnyArray], data: Data) -> dict[str, Array]:
        """Pointwise log likelihood of the observed sites."""
        trace = self._trace(params, data)
        observed = {name: trace[name] for name in self.sites if name in trace and trace[name]["is_observed"]}
        return {name: site["fn"].log_prob(site["value"]) for name, site in observed.items()}

    def sample_observed(self, key: Key, params: Mapping[str, AnyArray], data: Data) -> dict[str, Array]:
        """One draw of every observed site; ``data`` needs the covariates only."""
        from numpyro import handlers

        trace = self._trace(params, data, key, handlers.uncondition)
        drawn = {name: trace[name] for name in self.sites if name in trace}
        return {name: site["value"] for name, site in drawn.items() if not isinstance(site["fn"], dist.Unit)}

    def with_data(self, data: Data) -> tuple["NumPyroDensity", dict[str, Any]]:
        """The density and data for other arguments of the model; static arguments that are not given keep their values."""
        if not isinstance(data, Mapping):
            names = [*self.positional, *(name for name in self.required if name not in self.positional)]
            raise InputError(
                "other data of a NumPyro model",
                got=type(data).__name__,
                expected="a dict of arguments by name",
                remedy=f"name them, as in {{{', '.join(f'{name!r}: ...' for name in names)}}}.",
            )
        static, arrays = _split_static(data)
        return replace(self, static=tuple(sorted({**dict(self.static), **static}.items()))), as_data(arrays)

    def _unravel(self, position: Position) -> dict[str, Array]:
        values, start = {}, 0
        for name, shape in zip(self.names, self.shapes, strict=True):
            values[name] = position[start : start + math.prod(shape)].reshape(shape)
            start += math.prod(shape)
        return values

    def _arguments(self, data: Data) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments; None for a required one that is not given, such as ``obs`` in prediction."""
        given = {**dict.fromkeys(self.required), **dict(self.static), **data}
        return tuple(given.pop(name) for name in self.positional), given

    def _start(self, data: Data) -> Sites:
        from numpyro import handlers
        from numpyro.infer import init_to_uniform

        args, keywords = self._arguments(data)
        started = handlers.substitute(handlers.seed(self.fn, jax.random.key(0)), substitute_fn=init_to_uniform)
        sites: Sites = blamed("the NumPyro model", lambda: handlers.trace(started).get_trace(*args, **keywords), data)
        return sites

    def _trace(
        self,
        params: Mapping[str, AnyArray],
        data: Data,
        key: Key | None = None,
        handler: Callable[..., Any] | None = None,
    ) -> Sites:
        """The sites of the model at named values."""
        from numpyro import handlers

        fn = self.fn if handler is None else handler(self.fn)
        args, keywords = self._arguments(data)
        seeded = handlers.seed(handlers.substitute(fn, data=dict(params)), jax.random.key(0) if key is None else key)
        trace: Sites = blamed("the NumPyro model", lambda: handlers.trace(seeded).get_trace(*args, **keywords), data)
        for name in self.names:
            if name not in trace or jnp.shape(params[name]) != trace[name]["fn"].shape():
                raise InputError(
                    f"the latent site {name!r}",
                    got="no such site" if name not in trace else f"shape {trace[name]['fn'].shape()} with these data",
                    expected=f"shape {jnp.shape(params[name])}, as with the data of the fit",
                    remedy="give data of the same groups.",
                )
        return trace


def from_numpyro(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Posterior:
    """The posterior of a NumPyro model, for every engine.

    Array arguments are traced (a second call with other values of the same shapes compiles nothing); others (numbers of components,
    flags, None) are static. Arguments become the data under their names: ``result.predict(seed, {"x": other})``. Plates name
    dimensions.

    Args:
        fn: a NumPyro model without discrete latent sites.
        *args: its positional arguments. Or one `Batch` of datasets whose entries are arguments by name, for a batched posterior;
            keyword arguments are then common to all datasets.
        **kwargs: its keyword arguments.

    Raises:
        InputError: for what is no function, arguments that the model does not take or that are not numeric, and discrete latent sites.
    """
    if not callable(fn):
        raise InputError(
            "from_numpyro(fn, ...)",
            got=f"an object of type {type(fn).__name__}",
            expected="a NumPyro model: the function",
            remedy="give the function that numpyro.infer.NUTS and MCMC take, and after it its arguments.",
        )
    batch = next((arg for arg in args if isinstance(arg, Batch)), None)
    if batch is None:
        given, positional = _bound(fn, args, kwargs)
        static, arrays = _split_static(given)
        data: Data = as_data(arrays)
        _check_unmasked(data)
        return Posterior(_density(fn, data, static, positional), data)
    if len(args) > 1:
        raise InputError(
            "from_numpyro(fn, batch)",
            got=f"{len(args)} positional arguments, a batch among them",
            expected="the batch alone",
            remedy="put what differs between datasets into the dicts of jl.batch, and give the rest by keyword.",
        )
    _check_unmasked(batch.checked().data)
    given, positional = _bound(fn, (), {**batch[0], **kwargs})
    static, shared = _split_static(kwargs)
    arrays = as_data(shared)
    density = _density(fn, {**batch[0], **arrays}, static, positional)
    spread = {name: jnp.broadcast_to(value, (len(batch), *value.shape)) for name, value in arrays.items()}
    return batched(density, {**batch.data, **spread}, batch.names)


def _bound(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Arguments by name, and the names of those that are positional only."""
    try:
        bound = inspect.signature(fn).bind(*args, **kwargs)
    except TypeError as error:
        raise InputError(
            "from_numpyro(fn, ...)",
            got=str(error),
            expected=f"the arguments of {getattr(fn, '__name__', 'fn')}{inspect.signature(fn)}",
            remedy="give the arguments of the model after it, as the model takes them.",
        ) from None
    given: dict[str, Any] = {}
    positional: list[str] = []
    spreads = any(p.kind is p.VAR_POSITIONAL for p in bound.signature.parameters.values())
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            given |= value
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            numbered = {f"{name}_{i}": one for i, one in enumerate(value)}
            given |= numbered
            positional += numbered
        else:
            given[name] = value
            if kind is inspect.Parameter.POSITIONAL_ONLY or (spreads and kind is not inspect.Parameter.KEYWORD_ONLY):
                positional.append(name)
    return given, tuple(positional)


def _split_static(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split arguments into static ones and arrays."""
    is_array: Callable[[Any], bool] = lambda value: hasattr(value, "shape") or isinstance(value, list | Masked)
    static = {name: value for name, value in given.items() if not is_array(value)}
    for name, value in static.items():
        try:
            hash(value)
        except TypeError:
            raise InputError(
                f"from_numpyro(fn, ...), {name!r}",
                got=f"a {type(value).__name__}",
                expected="an array, or something hashable such as a number, a flag or None",
                remedy="give the arrays as separate arguments.",
            ) from None
    return static, {name: value for name, value in given.items() if name not in static}


def _check_unmasked(data: Data) -> None:
    for name, value in data.items():
        if isinstance(value, Masked):
            raise InputError(
                f"from_numpyro(...), {name!r}",
                got="masked values, or arrays of unequal shapes",
                expected="arrays as the model takes them, of equal shapes in all datasets of a batch",
                remedy="pad them, give the mask as a separate argument, and use numpyro.handlers.mask in the model.",
            )


def _density(
    fn: Callable[..., Any], data: Data, static: Mapping[str, Any], positional: tuple[str, ...]
) -> NumPyroDensity:
    """The density for data of these shapes."""
    from numpyro.infer.util import unconstrain_fn

    parameters = inspect.signature(fn).parameters.values()
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    required = tuple(p.name for p in named if p.default is p.empty)
    draft = NumPyroDensity(fn, (), (), (), (), tuple(sorted(static.items())), positional, required, ())
    sites = draft._start(data)
    _check_continuous(sites)
    _check_whole(sites)
    _check_observations(sites)
    args, keywords = draft._arguments(data)
    start = {n: site["value"] for n, site in sites.items() if site["type"] == "sample" and not site["is_observed"]}
    latent = dict(sorted(jax.eval_shape(lambda values: unconstrain_fn(fn, args, keywords, values), start).items()))
    observed = [site["value"] for site in sites.values() if _is_observed(site)]
    return replace(
        draft,
        names=tuple(latent),
        shapes=tuple(jnp.shape(z) for z in latent.values()),
        sites=tuple(name for name, site in sites.items() if _is_observed(site)),
        outcomes=tuple(name for name, value in data.items() if any(value is other for other in observed)),
        plates=tuple((name, dims) for name, site in sites.items() if (dims := _dims(name, site))),
    )


def _check_continuous(sites: Sites) -> None:
    """Raise `InputError` for the first latent site that is discrete."""
    for name, site in sites.items():
        if site["type"] == "sample" and not site["is_observed"] and site["fn"].support.is_discrete:
            raise InputError(
                f"the latent site {name!r}",
                got=f"{type(site['fn']).__name__}, which is discrete",
                expected="continuous latent sites",
                remedy="sum it out inside the model, for example with numpyro.distributions.MixtureSameFamily.",
            )


def _check_whole(sites: Sites) -> None:
    """Raise `InputError` for the first plate that draws some of its rows, whose log density would be random."""
    for name, site in sites.items():
        if site["type"] == "plate" and (some := site["args"][1]) is not None and some < site["args"][0]:
            raise InputError(
                f"the plate {name!r}",
                got=f"{some} of {site['args'][0]} rows, drawn anew at every evaluation",
                expected="plates without subsample_size",
                remedy="leave subsample_size out; jl.Optimize(batch_size=...) draws rows itself.",
            )


def _check_observations(sites: Sites) -> None:
    """Check that the values of observed sites are integers where these count; warn where NumPyro counts values several times, or none."""
    samples = {name: site for name, site in sites.items() if site["type"] == "sample"}
    if samples and not any(site["is_observed"] for site in samples.values()):
        warnings.warn(
            f"no site of the model is observed, so the posterior is the prior of {', '.join(samples)}. If that is not meant, give the "
            "observations: the argument of the model that it hands on as obs=...",
            stacklevel=4,
        )
    for name, site in sites.items():
        if not _is_observed(site):
            continue
        d, value, mask = _unmasked(site)
        require_codes(name, d, value if mask is None else Masked(value, mask))
        counted = _expanded(d, value).batch_shape
        if value.size > 1 and math.prod(counted) > math.prod(value.shape[: value.ndim - d.event_dim]):
            warnings.warn(
                f"the site {name!r}: values of shape {value.shape} and a distribution of batch shape {d.batch_shape} broadcast to "
                f"{counted}, so that values count several times. If that is not meant, give both one shape, as in y[:, 0] for a column.",
                stacklevel=4,
            )


def _is_observed(site: Mapping[str, Any]) -> bool:
    """Whether a site is an observation; a `numpyro.factor` is not."""
    if site["type"] != "sample" or not site["is_observed"]:
        return False
    return not isinstance(_unmasked(site)[0], dist.Unit)


def _unmasked(site: Mapping[str, Any]) -> tuple[dist.Distribution, Array, Array | None]:
    """The distribution of a site without its mask, the value, and the mask."""
    d, value = site["fn"], jnp.asarray(site["value"])
    return (d.base_dist, value, d._mask) if isinstance(d, dist.MaskedDistribution) else (d, value, None)


def _expanded(d: dist.Distribution, value: Array) -> dist.Distribution:
    """Expand a distribution to the shape of the value that it broadcasts to."""
    leading = value.shape[: value.ndim - d.event_dim]
    return expand_to(d, (*jnp.broadcast_shapes(d.batch_shape, leading), *value.shape[len(leading) :]))


def _dims(name: str, site: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the dimensions of a site: of its plates, numbered names for others; empty for sites outside plates."""
    frames = site.get("cond_indep_stack", ())
    if not frames or site["type"] not in ("sample", "deterministic"):
        return ()
    shape = np.shape(site["value"])
    events = site["fn"].event_dim if site["type"] == "sample" else 0
    dims = [f"{name}_dim_{i}" for i in range(len(shape))]
    for frame in frames:
        axis = len(shape) - events + frame.dim
        if 0 <= axis < len(shape) and shape[axis] == frame.size:
            dims[axis] = frame.name
    return tuple(dims) if len(set(dims)) == len(dims) else ()
