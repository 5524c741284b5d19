"""A model as every sampler takes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jaxlatent as jl


@dataclass(frozen=True)
class Case:
    """The same density in several languages, and its data.

    Attributes:
        data: by name, for all.
        parameters: names whose effective sample sizes and errors count; every language has them, as parameters or derived quantities.
        jaxlatent: makes the model, in the coordinates of the others.
        numpyro: a model function that takes the data by name.
        informed: makes the model in the coordinates that a user of jaxlatent would choose, if these are others.
        pymc: makes a PyMC model, the data conditioned on; None where there is none.
        stan: a Stan program, which takes the data by name, indices from zero.
        start: named values near which all chains of all samplers start, for posteriors with several modes; None for each sampler's own.
    """

    data: Mapping[str, Any]
    parameters: tuple[str, ...]
    jaxlatent: Callable[[], jl.Model]
    numpyro: Callable[..., None]
    informed: Callable[[], jl.Model] | None = None
    pymc: Callable[[], Any] | None = None
    stan: str | None = None
    start: Mapping[str, Any] | None = None
