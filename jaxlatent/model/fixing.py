"""`fix` and `tie`: a model with parameters, or some of their entries, held at values or tied to each other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from jaxlatent.data.arrays import Masked, split
from jaxlatent.data.namespace import with_values
from jaxlatent.distributions.restricted import HELD, Restricted
from jaxlatent.errors import InputError, did_you_mean
from jaxlatent.masks import widen
from jaxlatent.model.model import Model
from jaxlatent.model.pickling import family
from jaxlatent.typing import ArrayLike


@family
def fix(model: Model, **values: ArrayLike | Masked) -> Model:
    """Hold parameters at ``values``: they leave prior and positions, and everything else is conditioned on them.

    Args:
        model: any model.
        values: by parameter, each of its full shape; or `Masked`, to hold the entries where the mask is True.

    Raises:
        InputError: for an unknown parameter, or if no parameter is left; by EM, if a closed-form M-step updates held and free parameters
            together.
    """
    _check_names("fix", model, values)
    whole: Callable[[ArrayLike | Masked], bool] = lambda value: (
        not isinstance(value, Masked) or bool(np.all(value.mask))
    )
    held = {name: jnp.asarray(split(value)[0]) for name, value in values.items() if whole(value)}
    partly = {name: value for name, value in values.items() if not whole(value)}
    if len(held) == len(model.prior):
        raise InputError(
            "fix(...)",
            got="values for every parameter",
            expected="at least one that stays free",
            remedy="evaluate the model with jl.condition(model, data) instead.",
        )

    def restriction(value: Any) -> tuple[tuple[int, ...], Any]:
        mask, shape = np.asarray(value.mask), np.shape(value.values)
        if mask.dtype != bool or mask.shape != shape[: mask.ndim]:
            raise InputError(
                "fix(...), mask",
                got=f"{mask.dtype} of shape {mask.shape}",
                expected=f"booleans of the leading axes of the values, {shape}",
                remedy="True where an entry is held.",
            )
        groups = np.where(widen(mask, len(shape)), HELD, np.arange(np.prod(shape, dtype=int)).reshape(shape))
        return tuple(groups.ravel().tolist()), value.values

    model = _without(model, held) if held else model
    return _restricted("fix", model, {name: restriction(value) for name, value in partly.items()})


@family
def tie(model: Model, **groups: ArrayLike | Sequence[Any]) -> Model:
    """Tie entries of parameters: entries with the same group number share one value.

    The prior is that of the model restricted to the tied values, not normalised; `EM` needs ``m_step="generic"``.

    Args:
        model: any model.
        groups: by parameter, integers from 0 of its full shape, as in ``jl.tie(model, covs=[0, 0, 1])``.

    Raises:
        InputError: for an unknown parameter, or group numbers that are not integers from 0.
    """
    _check_names("tie", model, groups)
    for name, numbers in groups.items():
        if np.asarray(numbers).dtype.kind not in "iu" or np.min(numbers, initial=0) < 0:
            raise InputError(
                f"tie({name}=...)",
                got=f"{numbers!r}",
                expected="integers from 0, one for each entry",
                remedy="give equal numbers to entries that share a value; hold entries with jl.fix.",
            )
    return _restricted(
        "tie", model, {k: (tuple(np.ravel(v).tolist()), np.zeros(np.shape(v))) for k, v in groups.items()}
    )


def _without(model: Model, held: dict[str, Any]) -> Model:
    """Remove whole parameters from the model."""

    def of_free(function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` as a function of the free parameters."""
        return lambda p, *rest: function(with_values(held, p), *rest)

    def prior_of(name: str) -> Any:
        prior = model.prior[name]
        if isinstance(prior, dist.Distribution):
            return prior
        return lambda p, d: model.prior_of(name, {**held, **p}, d)

    start = model.start
    dims = {name: own for name, own in model.dims.items() if name not in held}
    # Dimensions that only parameters with a fixed value have are in no result.
    lost = {dim for own in model.dims.values() for dim in own} - {dim for own in dims.values() for dim in own}
    return replace(
        model,
        prior={name: prior_of(name) for name in model.prior if name not in held},
        likelihood=of_free(model.likelihood) if model.likelihood else None,
        derived=of_free(model.derived) if model.derived else None,
        start=(lambda key, d: {k: v for k, v in start(key, d).items() if k not in held}) if start else None,
        m_step=_m_step(model, held, lambda update: of_free(update)),
        dims=dims,
        softmax={name: axis for name, axis in model.softmax.items() if name not in held},
        coords={dim: labels for dim, labels in model.coords.items() if dim not in lost},
        key=model.key and ("fix", model.key, tuple((k, np.asarray(v).tobytes()) for k, v in held.items())),
    )


def _restricted(what: str, model: Model, restrictions: Mapping[str, tuple[tuple[int, ...], Any]]) -> Model:
    """Hold or tie entries of parameters by `Restricted` priors."""
    if not restrictions:
        return model

    def prior_of(name: str) -> Any:
        groups, held = restrictions[name]

        def prior(p: Any, d: Any) -> Restricted:
            base = model.prior_of(name, p, d)
            if base.shape() != np.shape(held):
                raise InputError(
                    f"{what}({name}=...)",
                    got=f"shape {np.shape(held)}",
                    expected=f"that of the parameter, {base.shape()}",
                    remedy="give one value for each entry of the parameter.",
                )
            return Restricted(base, groups, jnp.asarray(held, jnp.result_type(float)))

        return prior

    return replace(
        model,
        prior={name: prior_of(name) if name in restrictions else prior for name, prior in model.prior.items()},
        # Logits of which some are held or tied, such as those of a reference class, are identified.
        softmax={name: axis for name, axis in model.softmax.items() if name not in restrictions},
        m_step=_m_step(model, restrictions, None),
        key=model.key
        and (what, model.key, tuple((k, groups, np.asarray(v).tobytes()) for k, (groups, v) in restrictions.items())),
    )


def _m_step(model: Model, bound: Mapping[str, Any], of_free: Callable[[Any], Any] | None) -> dict[Any, Any] | None:
    """The M-step of the free parameters; an update of ``bound`` and free parameters together raises `InputError`.

    Args:
        model: with or without a closed-form M-step.
        bound: the bound parameters, by name.
        of_free: makes an update a function of the free parameters; None if bound parameters have free entries, for which there is no closed
            form.
    """
    if model.m_step is None:
        return None

    def refuse(names: tuple[str, ...]) -> Callable[..., Any]:
        def update(*_: Any) -> Any:
            raise InputError(
                "EM() of a model with fixed or tied parameters",
                got=f"bound: {', '.join(n for n in names if n in bound)}, updated in one closed form with free parameters among {names}",
                expected="parameters that are free as a whole, or fixed as a whole",
                remedy="use jl.EM(m_step='generic').",
            )

        return update

    updates: dict[Any, Any] = {}
    for names, update in model.m_step.items():
        group = names if isinstance(names, tuple) else (names,)
        is_bound = [name in bound for name in group]
        if not any(is_bound):
            updates[names] = update if of_free is None else of_free(update)
        elif of_free is None or not all(is_bound):
            updates[names] = refuse(group)
    return updates


def _check_names(what: str, model: Model, values: Mapping[str, Any]) -> None:
    for name in values:
        if name not in model.prior:
            raise InputError(
                f"{what}({name}=...)",
                got="an unknown parameter",
                expected=f"one of {', '.join(model.prior)}",
                remedy=did_you_mean(name, model.prior),
            )
