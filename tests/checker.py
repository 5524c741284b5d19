"""The run-time type checker of the tests: beartype, as PEP 484 has it, where a float may be given as an int."""

import typer
from beartype import BeartypeConf, FrozenDict, beartype
from beartype.roar import BeartypeDecorHintException

# A function says `typer.Context` for Typer to see it, and gets one of the class below.
_check = beartype(
    conf=BeartypeConf(is_pep484_tower=True, hint_overrides=FrozenDict({typer.Context: typer.Context.__base__}))
)


def checked(fn):
    """``fn`` with its signature checked at every call.

    Methods that return ``Self``, which only whole classes can check, stay as they are; and so do functions inside functions, which would
    be compiled anew at each definition.
    """
    if "<locals>" in fn.__qualname__:
        return fn
    try:
        return _check(fn)
    except BeartypeDecorHintException:
        return fn
