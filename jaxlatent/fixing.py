"""`fix`: a model with some parameters held at values, for every engine."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from jaxlatent.errors import InputError, did_you_mean
from jaxlatent.model import Model
from jaxlatent.namespace import Namespace
from jaxlatent.typing import ArrayLike


def fix(model: Model, **values: ArrayLike) -> Model:
    """``model`` with parameters held at ``values``: they leave prior and positions, and everything else is conditioned on them.

    Args:
        model: any model.
        values: by parameter, each of its full shape.

    Raises:
        InputError: for a name that is no parameter, or if no parameter is left; and by EM, if the model's closed-form M-step raises a
            fixed parameter together with a free one.
    """
    for name in values:
        if name not in model.prior:
            raise InputError(
                f"fix({name}=...)",
                got="a name that is no parameter",
                expected=f"one of {', '.join(model.prior)}",
                remedy=did_you_mean(name, model.prior),
            )
    held = {name: jnp.asarray(value) for name, value in values.items()}

    def see(function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` of all parameters, as one of those that are free."""
        return lambda p, *rest: function(Namespace("parameter", {**held, **p}), *rest)

    def prior_of(name: str) -> Any:
        prior = model.prior[name]
        if isinstance(prior, dist.Distribution):
            return prior
        return lambda p, d: model.prior_of(name, {**held, **p}, d)

    def together(names: tuple[str, ...]) -> Callable[..., Any]:
        def refuse(*_: Any) -> Any:
            raise InputError(
                "EM() of a model with fixed parameters",
                got=f"{', '.join(n for n in names if n in held)} fixed, {', '.join(n for n in names if n not in held)} free",
                expected=f"all of {names} fixed or none: the closed form raises them together",
                remedy="use jl.EM(m_step='generic').",
            )

        return refuse

    m_step: dict[Any, Any] = {}
    for names, update in (model.m_step or {}).items():
        group = names if isinstance(names, tuple) else (names,)
        fixed = [name in held for name in group]
        if not all(fixed):
            m_step[names] = together(group) if any(fixed) else see(update)
    start = model.start
    return replace(
        model,
        prior={name: prior_of(name) for name in model.prior if name not in held},
        likelihood=see(model.likelihood) if model.likelihood else None,
        derived=see(model.derived) if model.derived else None,
        start=(lambda key, d: {k: v for k, v in start(key, d).items() if k not in held}) if start else None,
        m_step=m_step if model.m_step is not None else None,
        dims={name: dims for name, dims in model.dims.items() if name not in held},
        key=None
        if model.key is None
        else ("fix", model.key, tuple((k, np.asarray(v).tobytes()) for k, v in held.items())),
    )
