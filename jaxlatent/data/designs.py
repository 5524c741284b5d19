"""Matrices of inputs from the columns of a table: by a list of columns and lags, or by a formula."""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from jaxlatent.data.columns import Column, Table
from jaxlatent.data.lags import History, Steps, exponential_filter, lag, win_stay_lose_switch
from jaxlatent.errors import InputError, did_you_mean, listed

#: How inputs are given: a column, a formula, or a list of columns and lags.
Inputs: TypeAlias = str | Sequence[str | History]

#: The item of a list that is a column of ones, and the name of that of a formula.
ONES, _INTERCEPT = "1", "Intercept"
_UNKNOWN = re.compile(r"name '(\w+)' is not defined|`(\w+)` is not present")
_MISSING = "an input cannot be masked: drop those rows, or impute them; jl.lag(...) and the other lags take missing values as 0."
_CATEGORY = "categories enter by a formula, which makes a column of each level but the first: x={formula!r}."
_TIME = "give times since an origin as numbers: (frame[...] - frame[...].min()) / pd.Timedelta('1D')."
_TEXT = "for numbers that were read as text pd.to_numeric(frame[{name!r}]); " + _CATEGORY


class Design(NamedTuple):
    """A matrix of inputs.

    Attributes:
        matrix: ``(N, P)``, in the order of steps.
        names: of its columns.
        spec: formulaic's, of a formula, which encodes other tables alike.
    """

    matrix: np.ndarray
    names: tuple[str, ...]
    spec: Any = None


def design(
    table: Table,
    argument: str,
    inputs: Inputs,
    steps: Steps | None,
    rows: np.ndarray,
    intercept: bool,
    spec: Any = None,
) -> Design:
    """The matrix of inputs that a list or a formula describes.

    Args:
        table: to read.
        argument: that describes the inputs, for messages.
        inputs: the name of a column, a formula (any other string), or a list of names and lags; "1" is a column of ones.
        steps: where rows are in sequences; None if they are independent.
        rows: ``(N,)``, the order of the rows of the matrix.
        intercept: whether the intercept of a formula is kept.
        spec: of the formula, from an earlier table.

    Raises:
        InputError: for unknown columns, and those that are not complete, finite numbers, or booleans.
    """
    if isinstance(inputs, str) and inputs not in table.names:
        if inputs.isidentifier():
            table.require_names([inputs], argument)
        return _by_formula(table, argument, inputs, steps, rows, intercept, spec)
    items = [inputs] if isinstance(inputs, str) else list(inputs)
    if not items:
        raise InputError(
            f"{table.what}, {argument}", got="an empty list", expected="at least one input", remedy="leave it out."
        )
    columns = [_input(table, argument, item, steps, rows) for item in items]
    names = tuple(item.label if isinstance(item, History) else item for item in items)
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(
            f"{table.what}, {argument}", got=f"{twice[0]!r} twice", expected="different inputs", remedy="leave one out."
        )
    return Design(np.column_stack(columns).astype(np.float64), names)


def history(table: Table, argument: str, item: History, steps: Steps | None) -> np.ndarray:
    """The values of a lag ``(N,)``, in the order of steps."""
    if steps is None:
        raise InputError(
            f"{table.what}, {argument}",
            got=item.label,
            expected="columns: rows are independent",
            remedy="use jl.sequences, which knows what comes before what.",
        )
    return item.compute({name: table.column(name, f"{argument}, {item.label}") for name in item.columns}, steps)


def warn_of_constants(what: str, argument: str, made: Design, wholes: Sequence[tuple[str, np.ndarray]]) -> None:
    """Warn of inputs that are constant, which biases are already.

    Args:
        what: the call.
        argument: that described the inputs.
        made: the inputs.
        wholes: names, for messages, and rows of the datasets.
    """
    for name, column in zip(made.names, made.matrix.T, strict=True):
        where = [label for label, rows in wholes if len(rows) > 1 and np.ptp(column[rows]) == 0]
        if where and name not in (ONES, _INTERCEPT):
            inside = "" if len(where) == len(wholes) else f" in {listed(where)}"
            warnings.warn(
                f"{what}, {argument}: {name!r} is constant{inside}. Regressions have biases, so that its weight cannot be told from them: "
                f"leave it out, or, for a part with bias=False and models by hand, say {ONES!r} for a column of ones.",
                stacklevel=3,
            )


def _input(table: Table, argument: str, item: Any, steps: Steps | None, rows: np.ndarray) -> np.ndarray:
    if isinstance(item, History):
        return history(table, argument, item, steps)
    if item == ONES and ONES not in table.names:
        return np.ones(len(rows))
    column = table.column(item, argument)
    require_numbers(column, argument)
    column.require_complete(f"in {argument}", _MISSING)
    values: np.ndarray = column.values[rows]
    return values


def require_numbers(column: Column, argument: str) -> None:
    """Raise `InputError` unless a column holds finite numbers or booleans."""
    formula = f"C({column.name})" if column.name.isidentifier() else f"C(`{column.name}`)"
    remedies = {"category": _TEXT if column.text else _CATEGORY, "time": _TIME}
    remedy = remedies.get(column.kind, "").format(name=column.name, formula=formula)
    column.require_kind(["number", "boolean"], f"in {argument}", remedy)
    column.require_finite(f"in {argument}")


def _by_formula(
    table: Table, argument: str, text: str, steps: Steps | None, rows: np.ndarray, intercept: bool, spec: Any
) -> Design:
    what = f"{table.what}, {argument}, formula {text!r}"
    try:
        import formulaic
    except ImportError as error:
        raise InputError(
            what,
            got="no formulaic, which reads formulas",
            expected="it installed, or the name of a column, or a list",
            remedy=f"pip install 'jaxlatent[tables]', or give a list of columns. {_known(table)}",
        ) from error
    if "~" in text or "|" in text:
        raise InputError(what, got="'~' or '|'", expected="inputs alone", remedy="give y by its own argument.")
    # What formulaic says of the variables of a formula lacks arguments of its functions.
    names = [name for name in table.names if isinstance(name, str) and _is_in(name, text)]
    table.require_names(names, argument)
    columns = {name: table.column(name, argument) for name in names}
    for column in columns.values():
        column.require_kind(["number", "boolean", "category"], f"in {argument}", _TIME)
        column.require_finite(f"in {argument}")
    frame = _frame(columns, rows)
    refused: list[InputError] = []
    context = {
        function.__name__: _in_formula(function, table, frame, f"{argument}, formula {text!r}", steps, refused)
        for function in (lag, win_stay_lose_switch, exponential_filter)
    }
    with _problems(what, table, columns, refused), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", formulaic.errors.DataMismatchWarning)
        if spec is None:
            made = formulaic.model_matrix(text, frame, na_action="raise", context=context)
        else:
            made = spec.get_model_matrix(frame, context=context)
    spec = made.model_spec
    kept = [i for i, name in enumerate(spec.column_names) if intercept or name != _INTERCEPT]
    chosen = tuple(spec.column_names[i] for i in kept)
    matrix = np.asarray(made, np.float64)[:, kept]
    if not kept:
        raise InputError(what, got="an intercept alone", expected="inputs", remedy=f"leave {argument} out.")
    wrong = ~np.isfinite(matrix)
    if wrong.any():
        step, place = (int(i) for i in np.argwhere(wrong)[0])
        raise InputError(
            what,
            got=f"{matrix[step, place]} for {chosen[place]!r} in row {rows[step]} (counted from 0)",
            expected="finite values",
            remedy="a function of the formula is not defined there; drop those rows, or shift the column.",
        )
    return Design(matrix, chosen, spec)


def _frame(columns: dict[str, Column], rows: np.ndarray) -> Any:
    """The columns of a formula as it wants them: numbers, NaN where missing, and categories with all levels."""
    import pandas as pd

    made = {}
    for name, column in columns.items():
        column = column.take(rows)
        if column.kind == "category":
            codes = np.where(column.missing, -1, column.values)
            made[name] = pd.Series(pd.Categorical.from_codes(codes, categories=list(column.levels)))
        else:
            values = column.values if column.values.dtype.kind == "f" else column.values.astype(np.int64)
            made[name] = pd.Series(np.where(column.missing, np.nan, values) if column.missing.any() else values)
    return pd.DataFrame(made)


def _in_formula(
    function: Any, table: Table, frame: Any, argument: str, steps: Steps | None, refused: list[InputError]
) -> Any:
    """A lag as a function of columns of a formula."""

    def applied(*arguments: Any, **named: Any) -> Any:
        import pandas as pd

        try:
            plain = [_name_of(table, frame, argument, function.__name__, value) for value in arguments]
            named = {key: _name_of(table, frame, argument, function.__name__, value) for key, value in named.items()}
            return pd.Series(history(table, argument, function(*plain, **named), steps))
        except InputError as error:
            refused.append(error)
            raise

    return applied


def _name_of(table: Table, frame: Any, argument: str, function: str, value: Any) -> Any:
    """The name of a column that a formula handed over as its values; other arguments as they are."""
    if not hasattr(value, "__len__") or isinstance(value, str):
        return value
    name = getattr(value, "name", None)
    # Functions of a column keep its name.
    if name not in frame or not value.equals(frame[name]):
        raise InputError(
            f"{table.what}, {argument}",
            got=f"{function}(...) of an expression",
            expected="of a column",
            remedy="make the expression a column of the table first.",
        )
    return name


@contextmanager
def _problems(
    what: str, table: Table, columns: dict[str, Column] | None = None, refused: Sequence[InputError] = ()
) -> Iterator[None]:
    """Turn the exceptions of formulaic into an `InputError`."""
    try:
        yield
    except Exception as error:
        if refused:
            raise refused[0] from None
        for column in (columns or {}).values():
            # Lags take missing values, so that it is the message which tells what did not.
            if column.missing.any() and f"`{column.name}`" in str(error):
                column.require_complete("in a formula", _MISSING)
        unknown = _UNKNOWN.search(str(error))
        raise InputError(
            what,
            got=f"{type(error).__name__}: {str(error).splitlines()[0]}",
            expected="a formula that formulaic can evaluate on the table",
            remedy=did_you_mean(unknown[1] or unknown[2], [str(name) for name in table.names])
            if unknown
            else _known(table),
        ) from error


def _is_in(name: str, text: str) -> bool:
    """Whether a formula may mention a column."""
    return f"`{name}`" in text or (name.isidentifier() and re.search(rf"\b{re.escape(name)}\b", text) is not None)


def _known(table: Table) -> str:
    return f"columns are {listed([repr(name) for name in table.names], 12)}."
