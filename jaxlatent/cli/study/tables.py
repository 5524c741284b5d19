"""Tables on the disk, by the ending of their name."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxlatent.cli.study.place import Place
from jaxlatent.errors import InputError, did_you_mean, listed

if TYPE_CHECKING:
    import pandas as pd


def read_frame(path: Path, place: Place) -> "pd.DataFrame":
    """The table in a file.

    Args:
        path: of the file.
        place: that names it.

    Raises:
        InputError: where there is none, or none that can be read.
    """
    reader = next((read for ending, read in _READERS.items() if path.name.lower().endswith(ending)), None)
    if reader is None:
        raise place.error(
            path.name, f"a name that ends in {', '.join(_READERS)}", "convert the table, or correct the name."
        )
    if not path.is_file():
        there = [other.name for other in path.parent.glob("*") if other.name.lower().endswith(tuple(_READERS))]
        remedy = f"{did_you_mean(path.name, there)} Paths are relative to the study file."
        raise place.error(f"{path.name}, which is not in {path.parent}", "a file", remedy)
    try:
        return reader(path, place)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise place.error(f"{path.name}, which cannot be read: {first}", "a table", "look into the file.") from error


def _text(separator: str) -> Callable[[Path, Place], "pd.DataFrame"]:
    def read(path: Path, place: Place) -> "pd.DataFrame":
        import pandas as pd

        return pd.read_csv(path, sep=separator)

    return read


def _parquet(path: Path, place: Place) -> "pd.DataFrame":
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except ImportError:
        raise place.error(
            f"{path.name}, and no package that reads Parquet",
            "pyarrow or fastparquet installed, or a .csv or .npz file",
            "pip install pyarrow",
        ) from None


def _arrays(path: Path, place: Place) -> "pd.DataFrame":
    """The arrays of an archive as columns."""
    import pandas as pd

    with np.load(path, allow_pickle=False) as archive:
        try:
            columns = {name: archive[name] for name in archive.files}
        except ValueError:
            raise place.error(
                f"{path.name} with an array of Python objects",
                "arrays of numbers, booleans or text",
                "save text as array.astype(str).",
            ) from None
    shapes = {name: array.shape for name, array in columns.items()}
    if len(set(shapes.values())) != 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise place.error(
            f"{path.name} with {listed([f'{name} {shape}' for name, shape in shapes.items()], 8) or 'no arrays'}",
            "arrays of one length, (rows,), each a column",
            "save each column of a matrix under a name of its own.",
        )
    return pd.DataFrame(
        {name: array.astype(object) if array.dtype.kind == "U" else array for name, array in columns.items()}
    )


_READERS: dict[str, Callable[[Path, Place], "pd.DataFrame"]] = {
    ".csv": _text(","),
    ".tsv": _text("\t"),
    ".parquet": _parquet,
    ".npz": _arrays,
}


def require_columns(names: Collection[tuple[str, Place]], frame: "pd.DataFrame", file: str) -> None:
    """Raise `InputError` for the first name that is not a column of the table in ``file``."""
    known = [str(column) for column in frame.columns]
    for name, place in names:
        if name not in known:
            raise place.error(
                f"{name!r}, which is not a column of {file}", f"one of {listed(known, 12)}", did_you_mean(name, known)
            )
