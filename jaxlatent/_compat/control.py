"""What JAX calls the parts of its loops and branches.

- Versions: jax 0.10 and 0.12, which count the inputs of a scan each in its own way. No public interface tells them.
- Upstream: none; `jax.extend.core` promises the names of primitives, not their parameters.
- Gain: checks see into loops. A loop whose parts are named otherwise stays in one piece.
"""

from typing import Any, NamedTuple, TypeAlias

from jax.extend.core import ClosedJaxpr


class Scan(NamedTuple):
    """`jax.lax.scan`: inputs are constants, carry, and what is scanned; outputs the carry, and what is stacked."""

    body: ClosedJaxpr
    constants: int
    carry: int
    length: int
    reverse: bool


class While(NamedTuple):
    """`jax.lax.while_loop`: inputs are constants of the test, constants of the body, and the carry."""

    test: ClosedJaxpr
    body: ClosedJaxpr
    test_constants: int
    body_constants: int


class Branches(NamedTuple):
    """`jax.lax.switch` and `cond`: inputs are the index of the branch, and what all branches are given."""

    branches: tuple[ClosedJaxpr, ...]


Control: TypeAlias = Scan | While | Branches


def control_of(name: str, params: dict[str, Any]) -> Control | None:
    """The parts of an equation that loops or branches, by its primitive's name and its parameters; else None."""
    try:
        match name:
            case "scan":
                return Scan(params["jaxpr"], *_counts(params), params["length"], params["reverse"])
            case "while":
                return While(params["cond_jaxpr"], params["body_jaxpr"], params["cond_nconsts"], params["body_nconsts"])
            # Branches for other platforms cannot be compiled for this one.
            case "cond" if params.get("branches_platforms") is None:
                return Branches(tuple(params["branches"]))
    except (KeyError, AttributeError):
        pass
    return None


def _counts(params: dict[str, Any]) -> tuple[int, int]:
    """Constants and carry of a scan."""
    if "num_carry" in params:
        return params["num_consts"], params["num_carry"]
    constants, carry, _ = params["ft_in"].unpack()
    return len(list(constants)), len(list(carry))
