"""The source of a model's functions, as their author wrote them."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any


def body_of(function: Callable[..., Any]) -> str:
    """What a lambda returns, or the source of a function; a name where there is no source, or several fit.

    Works in notebooks too, whose cells `inspect` knows.
    """
    name = getattr(function, "__qualname__", type(function).__name__).replace("<locals>.", "")
    try:
        lines = inspect.findsource(function)[0]
        source = "".join(lines)
        found = [node for node in ast.walk(ast.parse(source)) if _is(node, function)]
    except (OSError, TypeError, SyntaxError):
        return name
    segments = {
        ast.get_source_segment(source, node.body if isinstance(node, ast.Lambda) else node, padded=True)
        for node in found
    }
    only = segments.pop() if len(segments) == 1 else None
    return name if only is None else textwrap.dedent(only).strip()


def _is(node: ast.AST, function: Callable[..., Any]) -> bool:
    """Whether ``node`` is where ``function`` was written: at its line, with its arguments and code."""
    if not isinstance(node, ast.Lambda | ast.FunctionDef) or node.lineno != function.__code__.co_firstlineno:
        return False
    names = tuple(argument.arg for argument in node.args.args)
    if names != function.__code__.co_varnames[: len(names)]:
        return False
    if isinstance(node, ast.FunctionDef):
        return node.name == function.__name__
    code = compile(ast.Expression(ast.fix_missing_locations(node)), "", "eval").co_consts[0]
    return function.__name__ == "<lambda>" and _shape(code) == _shape(function.__code__)


def _shape(code: Any) -> tuple[Any, ...]:
    """What a lambda does, whether its other names are global or of a function around it."""
    constants = [value for value in code.co_consts if not inspect.iscode(value)]
    return sorted({*code.co_names, *code.co_freevars}), constants
