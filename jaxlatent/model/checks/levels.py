"""New groups in prediction: how many effects are missing, and whether their prior is a population to draw them from."""

import jax
import jax.numpy as jnp

from jaxlatent.distributions.centring import Recentred, family_of
from jaxlatent.errors import InputError
from jaxlatent.model.checks.indices import indices_in
from jaxlatent.model.checks.terms import reading_of
from jaxlatent.model.model import Model
from jaxlatent.typing import Data, Params


def levels_needed(model: Model, params: Params, fitted: Data, data: Data) -> dict[str, int]:
    """The length of the first axis that ``data`` need, by parameter, for those that are too short.

    Args:
        model: the declaration.
        params: one draw.
        fitted: the data of the fit, which priors may read.
        data: to predict at.

    Raises:
        InputError: if the entries of such a parameter are not i.i.d. under its prior, and do not follow those of an earlier parameter one
            by one.
    """
    wanted: dict[str, int] = {}
    for place, _, high in indices_in(data, reading_of(model, params, data, "predict")):
        for source in place.operand:
            kind, name = source.split(" ", 1)
            reads = kind == "param" and place.use == "read"
            if reads and high > place.last and params[name].shape[:1] == (place.length,):
                wanted[name] = max(wanted.get(name, 0), high + place.size)
    longer = dict(params)
    for name in (name for name in model.prior if name in wanted):
        if not is_population(model, name, params, fitted) and not _grows(model, name, longer, fitted, wanted[name]):
            raise InputError(
                f"predict(new_levels=True), parameter {name!r}",
                got="a prior whose entries differ from each other or depend on each other, given the other parameters",
                expected="independent draws from one population, such as dist.Normal(p.mu, p.tau).expand([n]).to_event(1)",
                remedy="declare such a prior, or leave out groups that were not in the data.",
            )
        longer[name] = jnp.zeros((wanted[name], *params[name].shape[1:]), params[name].dtype)
    return wanted


def is_population(model: Model, name: str, params: Params, fitted: Data) -> bool:
    """Whether the entries of a parameter along its first axis are independent and identical, given the other parameters."""
    # By shapes: the first axis was made by `expand`, and is not an event axis.
    shape, family, event_dim = _shapes(model, name, params, fitted)
    return len(family) < len(shape) or (family[:1] == (1,) and event_dim < len(shape))


def _grows(model: Model, name: str, longer: Params, fitted: Data, length: int) -> bool:
    """Whether a parameter gets a new entry for each of an earlier one, as biases whose mean depends on the weights of their group."""
    try:
        shape, _, event_dim = _shapes(model, name, longer, fitted)
    except (TypeError, ValueError):  # new and old lengths that do not broadcast
        return False
    return shape[:1] == (length,) and event_dim < len(shape)


def _shapes(model: Model, name: str, params: Params, fitted: Data) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """The shape of a prior, and that of its family before it was expanded, with its event axes."""
    found: list[tuple[tuple[int, ...], tuple[int, ...], int]] = []

    def trace(params: Params, fitted: Data) -> None:
        prior = model.prior_of(name, params, fitted)
        while isinstance(prior, Recentred):
            prior = prior.base
        family = family_of(prior)
        found.append((prior.shape(), family.shape(), family.event_dim))

    jax.eval_shape(trace, params, fitted)
    return found[0]
