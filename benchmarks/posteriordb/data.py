"""The data of posteriordb, from a checkout of https://github.com/stan-dev/posteriordb."""

import json
import os
import zipfile
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
