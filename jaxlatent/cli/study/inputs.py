"""Inputs by name: columns, and lags written as in formulas, ``"lag(choice, 2)"``."""

import ast
import re
from collections.abc import Collection
from typing import Any

from jaxlatent.cli.study.place import Place
from jaxlatent.data.designs import ONES
from jaxlatent.data.lags import History, exponential_filter, lag, win_stay_lose_switch
from jaxlatent.errors import did_you_mean

_LAGS = {function.__name__: function for function in (lag, win_stay_lose_switch, exponential_filter)}
_QUOTED = re.compile(r"`([^`]*)`")


def read_input(item: str, columns: Collection[str], place: Place) -> str | History:
    """A column by its name, or a lag.

    Args:
        item: such as ``"stimulus"``, ``"lag(choice)"``, ``"lag(`my choice`, by=2)"``; "1" is a column of ones.
        columns: of the table.
        place: of the item.

    Raises:
        InputError: for unknown columns and functions, and for wrong arguments.
    """
    if item in columns or item == ONES:
        return item
    call = _call(item)
    if call is None:
        raise place.error(
            f"{item!r}, which is not a column of the table",
            f"a column, or {', '.join(f'{name}(...)' for name in _LAGS)} of one; a formula stands alone, without brackets",
            did_you_mean(item, columns),
        )
    name, arguments, named = call
    if name not in _LAGS:
        raise place.error(f"{name}(...)", f"one of {', '.join(_LAGS)}", did_you_mean(name, _LAGS))
    for argument in (*arguments, *named.values()):
        if isinstance(argument, str) and argument not in columns:
            raise place.error(
                f"{item!r}, and no column {argument!r}", "a column of the table", did_you_mean(argument, columns)
            )
    function: Any = _LAGS[name]
    with place.explained():
        try:
            made: History = function(*arguments, **named)
        except TypeError as error:
            raise place.error(
                f"{item!r}: {error}",
                "lag(column, by), win_stay_lose_switch(choice, reward) or exponential_filter(column, decay)",
                "give these arguments.",
            ) from None
    return made


def _call(item: str) -> tuple[str, list[Any], dict[str, Any]] | None:
    """The function of a call, its arguments and those by name; None for anything else."""
    try:
        tree = ast.parse(_QUOTED.sub(lambda quoted: repr(quoted[1]), item), mode="eval").body
    except SyntaxError:
        return None
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
        return None
    values = [_plain(node) for node in tree.args]
    named = {keyword.arg or "": _plain(keyword.value) for keyword in tree.keywords}
    return None if None in (*values, *named.values()) else (tree.func.id, values, named)


def _plain(node: ast.expr) -> Any:
    """The name of a column, or a number; None for other expressions."""
    if isinstance(node, ast.Name):
        return node.id
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float) else None
