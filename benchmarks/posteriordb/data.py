"""The data and reference moments of posteriordb, from a checkout of https://github.com/stan-dev/posteriordb."""

import json
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


def database() -> Path:
    """The folder `posterior_database` of the checkout that the environment variable POSTERIORDB names."""
    root = Path(os.environ.get("POSTERIORDB", "posteriordb"))
    return root / "posterior_database" if (root / "posterior_database").is_dir() else root


def load_data(name: str) -> dict[str, Any]:
    """A data set by its name, such as "kidiq", with lists as arrays."""
    with zipfile.ZipFile(database() / "data" / "data" / f"{name}.json.zip") as archive:
        values = json.loads(archive.read(f"{name}.json"))
    return {key: np.asarray(value) if isinstance(value, list) else value for key, value in values.items()}


@dataclass(frozen=True)
class Reference:
    """Moments of the reference draws of a posterior.

    Attributes:
        names: of scalars: a parameter, and the index of an element from 0 or None.
        mean, sd: of each.
        mcse: Monte Carlo error of each mean.
    """

    names: tuple[tuple[str, int | None], ...]
    mean: np.ndarray
    sd: np.ndarray
    mcse: np.ndarray


def load_reference(posterior: str) -> Reference | None:
    """The reference of a posterior by its name, such as "kidiq-kidscore_momhs"; None where posteriordb has none."""
    name = json.loads((database() / "posteriors" / f"{posterior}.json").read_text()).get("reference_posterior_name")
    if name is None:
        return None

    def statistic(kind: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            (database() / "reference_posteriors" / "summary_statistics" / kind / kind / f"{name}.json").read_text()
        )
        return found

    means, squares = statistic("mean_value"), statistic("mean_squared_value")
    mean = np.asarray(means["mean_value"])
    variance = np.asarray(squares["mean_squared_value"]) - mean**2
    return Reference(tuple(map(_indexed, means["names"])), mean, np.sqrt(variance), np.asarray(means["mcse_mean"]))


def _indexed(name: str) -> tuple[str, int | None]:
    """``("beta", 0)`` of "beta[1]", and ``("sigma", None)`` of "sigma"."""
    parameter, index = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", name).groups()  # type: ignore[union-attr]
    return parameter, None if index is None else int(index) - 1
