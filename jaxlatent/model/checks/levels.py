"""New groups in prediction: how many effects are missing, and whether their prior is a population to draw them from."""

import jax

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
        InputError: if the entries of such a parameter are not i.i.d. under its prior.
    """
    wanted: dict[str, int] = {}
    for place, _, high in indices_in(data, reading_of(model, params, data, "predict")):
        for source in place.operand:
            kind, name = source.split(" ", 1)
            reads = kind == "param" and place.use == "read"
            if reads and high > place.last and params[name].shape[:1] == (place.length,):
                wanted[name] = max(wanted.get(name, 0), high + place.size)
    for name in wanted:
        if not _is_population(model, name, params, fitted):
            raise InputError(
                f"predict(new_levels=True), parameter {name!r}",
                got="a prior whose entries differ from each other or depend on each other, given the other parameters",
                expected="independent draws from one population, such as dist.Normal(p.mu, p.tau).expand([n]).to_event(1)",
                remedy="declare such a prior, or leave out groups that were not in the data.",
            )
    return wanted


def _is_population(model: Model, name: str, params: Params, fitted: Data) -> bool:
    """Whether the entries of a parameter along its first axis are independent and identical, given the other parameters."""
    found: list[bool] = []

    def trace(params: Params, fitted: Data) -> None:
        prior = model.prior_of(name, params, fitted)
        while isinstance(prior, Recentred):
            prior = prior.base
        # By shapes: the first axis was made by `expand`, and is not an event axis.
        family = family_of(prior)
        axes = len(prior.shape())
        found.append(len(family.shape()) < axes or (family.shape()[:1] == (1,) and family.event_dim < axes))

    jax.eval_shape(trace, params, fitted)
    return found[0]
