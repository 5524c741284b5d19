"""`Result.problems`: the datasets whose fit went wrong, as a table."""

from typing import TYPE_CHECKING

import numpy as np

from jaxlatent.results.fitted import Fitted
from jaxlatent.results.report.lane_checks import check_lanes
from jaxlatent.status import in_words

if TYPE_CHECKING:
    import pandas as pd

#: Columns of numbers, of which a table has those that apply, with their types; counts may be missing.
_NUMBERS = {
    "r_hat": float,
    "ess": float,
    "divergences": "Int64",
    "at_max_depth": "Int64",
    "khat": float,
    "agreeing": "Int64",
}


def problems(result: Fitted) -> "pd.DataFrame":
    """See `jaxlatent.Result.problems`."""
    import pandas as pd

    names = [0] if result.names is None else list(result.names)
    rows = []
    # One dataset at a time, so that those of a store need not fit into memory together.
    for name in names:
        one = result if result.names is None else result[name]
        checked = check_lanes(one)
        found = ", ".join(dict.fromkeys(finding.illness for finding in checked.findings))
        rows.append({"status": in_words(one.status), **checked.numbers, "findings": found})
    table = pd.DataFrame(rows, pd.Index(names, name="dataset", tupleize_cols=False))
    types = {column: kind for column, kind in _NUMBERS.items() if column in table}
    return table[["status", *types, "findings"]].astype(types)[np.array(table["findings"] != "", bool)]
