"""The parts of loops and branches in a jaxpr.

- Versions: jax 0.10 and 0.12, which store the numbers of inputs of a scan differently, without a public interface.
- Upstream: none; `jax.extend.core` documents the names of primitives, not their parameters.
- Gain: checks see into loops. A loop with other parameters is treated as one opaque equation.
"""

from typing import Any, NamedTuple, TypeAlias

from jax.extend.core import ClosedJaxpr


class Scan(NamedTuple):
    """`jax.lax.scan`: inputs are constants, carry and scanned arrays; outputs are carry and stacked arrays."""

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
    """`jax.lax.switch` and `cond`: inputs are the branch index and the inputs of all branches."""

    branches: tuple[ClosedJaxpr, ...]


Control: TypeAlias = Scan | While | Branches


def control_of(name: str, params: dict[str, Any]) -> Control | None:
    """The parts of a loop or branch, from the name and parameters of its primitive; None for other primitives."""
    try:
        match name:
            case "scan":
                return Scan(params["jaxpr"], *_counts(params), params["length"], params["reverse"])
            case "while":
                return While(params["cond_jaxpr"], params["body_jaxpr"], params["cond_nconsts"], params["body_nconsts"])
            # Platform-dependent branches cannot all be compiled for this platform.
            case "cond" if params.get("branches_platforms") is None:
                return Branches(tuple(params["branches"]))
    except (KeyError, AttributeError):
        pass
    return None


def _counts(params: dict[str, Any]) -> tuple[int, int]:
    """Numbers of constants and of carried arrays of a scan."""
    if "num_carry" in params:
        return params["num_consts"], params["num_carry"]
    constants, carry, _ = params["ft_in"].unpack()
    return len(list(constants)), len(list(carry))
