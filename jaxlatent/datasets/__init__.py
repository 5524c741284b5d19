"""Small example datasets, built in or simulated with a seed, each with its source."""

from typing import NamedTuple

import numpy as np

from jaxlatent.datasets.behaviour import INPUTS, Mice, mice
from jaxlatent.errors import InputError

__all__ = ["INPUTS", "Dataset", "Mice", "census_income", "inverse_problem", "mice"]


class Dataset(NamedTuple):
    """Data and coordinates, as in ``jl.fit(model, census.data, engine, seed, coords={"education": census.coords["education"]})``.

    Attributes:
        data: arrays by name, observations and covariates.
        coords: labels by dimension; a fit takes those of the dimensions that its model names.
    """

    data: dict[str, np.ndarray]
    coords: dict[str, list[str]]


def census_income() -> Dataset:
    """The number of people who earn more than 50,000 dollars a year, by education and sex, in 14 cells.

    Source: the 1994 census of the United States, as extracted by Kohavi and Becker for the UCI repository ("Adult"),
    counted by education and sex. Rows are the seven educations in the order of ``coords["education"]``, women before men.

    Returns:
        data, each ``(14,)``: ``income``, people above 50,000 dollars; ``total``, people; ``edu``, index of the
        education; ``sex``, 0 for women and 1 for men. Coordinates: ``education``, ``sex`` and ``cell`` (both, by row).
    """
    total = [1321, 2932, 3390, 7111, 3227, 5131, 592, 1366, 1619, 3736, 536, 1187, 86, 327]
    above = [23, 221, 226, 1449, 253, 1399, 109, 675, 339, 1882, 179, 780, 50, 256]
    education = ["Some HS", "HS Grad", "Some College", "Prof School", "Bachelors", "Masters", "Doctorate"]
    sex = ["female", "male"]
    data = {
        "income": np.array(above, np.int32),
        "total": np.array(total, np.int32),
        "edu": np.repeat(np.arange(7, dtype=np.int32), 2),
        "sex": np.tile(np.arange(2, dtype=np.int32), 7),
    }
    cells = [f"{one}, {other}" for one in education for other in sex]
    return Dataset(data, {"education": education, "sex": sex, "cell": cells})


def inverse_problem(size: int = 1000, noise: str = "wide", seed: int = 0) -> Dataset:
    """An inverse problem whose solution is multi-valued: some inputs have three outputs.

    Source: Bishop (1994), Mixture Density Networks: ``x = y + 0.3 sin(2 pi y) + noise`` for ``y`` evenly spaced from 0 to 1; predict
    ``y`` from ``x``.

    Args:
        size: number of points.
        noise: "wide", Uniform(-0.1, 0.1), as in Bishop; or "narrow", Uniform(0, 0.05).
        seed: of the noise.

    Returns:
        data: ``x`` ``(size, 1)`` and ``y`` ``(size,)``.
    """
    ranges = {"wide": (-0.1, 0.1), "narrow": (0.0, 0.05)}
    if noise not in ranges:
        raise InputError(
            "inverse_problem(noise=...)", got=repr(noise), expected="'wide' or 'narrow'", remedy="pick one of them."
        )
    y = np.linspace(0.0, 1.0, size)
    x = y + 0.3 * np.sin(2 * np.pi * y) + np.random.default_rng(seed).uniform(*ranges[noise], size)
    return Dataset({"x": x[:, None], "y": y}, {})
