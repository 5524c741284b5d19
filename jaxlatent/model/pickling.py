"""Pickling of models and densities that hold functions: as the call that made them, or by value.

`pickle` stores functions by name, which lambdas and closures lack. A ready family is pickled as its name and arguments, a model written by
hand by value with cloudpickle, which Dask, Ray and joblib depend on.
"""

import importlib
import pickle
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, ParamSpec, Self, TypeVar, cast

from jaxlatent.errors import InputError

P = ParamSpec("P")
T = TypeVar("T")


class ByValue:
    """Base of frozen dataclasses that plain `pickle` accepts even if they hold lambdas or closures."""

    def __reduce__(self) -> Any:
        call = self.__dict__.get("_call")
        if call is not None:
            return _remade, call
        state = {field.name: getattr(self, field.name) for field in fields(cast(Any, self))}
        return _restored, (type(self), *_pickled(type(self).__name__, state))

    # Instances are immutable, and compare by identity: copies are the instance itself.
    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self


def family(make: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function that makes models, so that these are pickled as a call of it with its arguments."""

    @wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> T:
        model = make(*args, **kwargs)
        # Not a dataclass field, so that `replace` drops it: a changed copy is not what the call makes.
        if "_call" not in model.__dict__ and all(argument is not model for argument in args):
            object.__setattr__(model, "_call", (made, args, kwargs))
        return model

    return made


def _remade(make: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return make(*args, **kwargs)


def _pickled(name: str, state: dict[str, Any]) -> tuple[str, bytes]:
    """The name of the module that pickled ``state``, and the bytes."""
    try:
        return "pickle", pickle.dumps(state)
    except (pickle.PicklingError, AttributeError, TypeError) as plain:
        try:
            return "cloudpickle", importlib.import_module("cloudpickle").dumps(state)
        except ImportError:
            raise InputError(
                f"pickling a {name}",
                got=str(plain),
                expected="functions that can be imported by name, or cloudpickle to take them by value",
                remedy="pip install cloudpickle, or define the functions at the top of a module; jl.models.* need neither.",
            ) from plain


def _restored(cls: type, module: str, state: bytes) -> Any:
    return cls(**importlib.import_module(module).loads(state))
