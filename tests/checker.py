"""The run-time type checker of the tests: beartype, as PEP 484 has it, where a float may be given as an int."""

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintException

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def checked(fn):
    """``fn`` with its signature checked at every call; methods that return ``Self``, which only whole classes can check, as they are."""
    try:
        return _check(fn)
    except BeartypeDecorHintException:
        return fn
